package config

import (
	"cmp"
	"strconv"
	"time"
)

// NFT says how the metadata of NFTs is read. Where it stands is for whoever made
// the collection to choose.
type NFT struct {
	// Servers lets metadata be read from the servers that contracts name. Off, only
	// what stands in the contract itself is read, and IPFS through Gateway. Default
	// true.
	Servers Switch `yaml:"servers"`
	// Gateway is the IPFS gateway that ipfs:// is read through, such as
	// http://127.0.0.1:8080 of a node of one's own; its path is followed by
	// /ipfs/NAME. It may be private. Default none: such metadata is shown as
	// missing, with this as the reason.
	Gateway URL `yaml:"gateway"`
	// Allow are networks that may be asked although they are private, such as
	// 10.1.0.0/16, at every port. Any contract can name an address in them. Default
	// none: only public addresses are dialled.
	Allow []Network `yaml:"allow"`
	// AllowHTTP lets metadata be read by plain http. Default false.
	AllowHTTP bool `yaml:"allow_http"`
	// Timeout bounds the reading of one piece of metadata, redirects included, from
	// 1s to 60s. Default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxBytes bounds one piece of metadata. Default 1048576.
	MaxBytes int64 `yaml:"max_bytes"`
	// Concurrency is how many are read at once for one chain. Default 8.
	Concurrency int `yaml:"concurrency"`
	// Refresh is after how long metadata is read again. Default 168h.
	Refresh time.Duration `yaml:"refresh"`
}

// The bounds of NFT.Timeout, NFT.MaxBytes and NFT.Refresh.
const (
	minNFTTimeout = time.Second
	maxNFTTimeout = time.Minute
	maxNFTBytes   = 16 << 20
	minNFTRefresh = time.Minute
)

func (n *NFT) settle() {
	n.Timeout = cmp.Or(n.Timeout, 10*time.Second)
	n.MaxBytes = cmp.Or(n.MaxBytes, 1<<20)
	n.Concurrency = cmp.Or(n.Concurrency, 8)
	n.Refresh = cmp.Or(n.Refresh, 7*24*time.Hour)
}

func (n NFT) check(p problems) {
	checkURL(p, "nft.gateway", n.Gateway, "http", "https")
	for i, network := range n.Allow {
		if !network.IsValid() {
			p.add("nft.allow."+strconv.Itoa(i), "is empty")
		}
	}
	if n.Timeout < minNFTTimeout || n.Timeout > maxNFTTimeout {
		p.add("nft.timeout", "must be from %s to %s", minNFTTimeout, maxNFTTimeout)
	}
	if n.MaxBytes < 1 || n.MaxBytes > maxNFTBytes {
		p.add("nft.max_bytes", "must be from 1 to %d", maxNFTBytes)
	}
	notNegative(p, "nft.concurrency", n.Concurrency)
	if n.Refresh < minNFTRefresh {
		p.add("nft.refresh", "must be %s or more", minNFTRefresh)
	}
}
