package config

import (
	"cmp"
	"strconv"
	"time"
)

// Webhooks says how events are sent to the servers of tenants.
type Webhooks struct {
	// Allow are networks that deliveries may go to although they are private,
	// such as 10.1.0.0/16, at every port. It holds for all tenants. Default none:
	// only public addresses are dialled.
	Allow []Network `yaml:"allow"`
	// Ports are those that deliveries may go to at public addresses. Default 80
	// and 443.
	Ports []int `yaml:"ports"`
	// AllowHTTP lets the URL of an endpoint be plain http. Default false.
	AllowHTTP bool `yaml:"allow_http"`
	// Timeout bounds one attempt, from 1s to 60s. Default 15s.
	Timeout time.Duration `yaml:"timeout"`
	// Concurrency is how many attempts one daemon makes at once, whatever the
	// endpoint. Default 2048.
	Concurrency int `yaml:"concurrency"`
	// KeepDays is how long deliveries that are done can be looked at and sent
	// again. Default 30.
	KeepDays int `yaml:"keep_days"`
}

// The bounds of Webhooks.Timeout.
const (
	minWebhookTimeout = time.Second
	maxWebhookTimeout = time.Minute
)

func (w *Webhooks) settle() {
	w.Timeout = cmp.Or(w.Timeout, 15*time.Second)
	w.Concurrency = cmp.Or(w.Concurrency, 2048)
	w.KeepDays = cmp.Or(w.KeepDays, 30)
	if len(w.Ports) == 0 {
		w.Ports = []int{80, 443}
	}
}

func (w Webhooks) check(p problems) {
	if w.Timeout < minWebhookTimeout || w.Timeout > maxWebhookTimeout {
		p.add("webhooks.timeout", "must be from %s to %s", minWebhookTimeout, maxWebhookTimeout)
	}
	notNegative(p, "webhooks.concurrency", w.Concurrency)
	notNegative(p, "webhooks.keep_days", w.KeepDays)
	for i, port := range w.Ports {
		if port < 1 || port > 65535 {
			p.add("webhooks.ports."+strconv.Itoa(i), "must be from 1 to 65535")
		}
	}
}
