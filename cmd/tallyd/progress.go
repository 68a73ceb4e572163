package main

import (
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work is: a bar where a person is looking, a log
// line every few seconds elsewhere.
type progress struct {
	what   string
	log    zerolog.Logger
	bar    *progressbar.ProgressBar // nil where nobody is looking
	logged time.Time
}

func newProgress(what string, out *os.File, log zerolog.Logger) *progress {
	p := &progress{what: what, log: log, logged: time.Now()}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetDescription(what),
			progressbar.OptionSetWriter(out), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount())
	}
	return p
}

// show says that done of total are done. It is called by one goroutine.
func (p *progress) show(done, total uint64) {
	if p.bar != nil {
		p.bar.ChangeMax64(int64(total)) //nolint:gosec // a count of blocks
		_ = p.bar.Set64(int64(done))    //nolint:gosec // a count of blocks; a bar that cannot be drawn is no fault
		return
	}
	const every = 5 * time.Second
	if time.Since(p.logged) >= every {
		p.logged = time.Now()
		p.log.Info().Uint64("done", done).Uint64("total", total).Msg(p.what)
	}
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish() // a bar that cannot be drawn is no fault
	}
}
