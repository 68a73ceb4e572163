package bitcoin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// mostTarget is the furthest number of blocks an estimate is asked for: btcd knows
// no more.
const mostTarget = 25

var errRate = errors.New("the rate is no number")

// relayMinimum is the basis of an estimate no node had an opinion about.
const relayMinimum = "relay minimum"

// EstimateFee returns what a node expects to get a transaction into one of the
// next blocks: by estimatesmartfee, else by estimatefee, else the least that it
// relays.
func (s *Source) EstimateFee(ctx context.Context, blocks int, ceiling chains.Amount) (chains.FeeEstimate, error) {
	estimate, err := ask(ctx, s, func(ctx context.Context, n node) (chains.FeeEstimate, error) {
		return n.estimate(ctx, min(max(blocks, 1), mostTarget))
	})
	if err != nil {
		return chains.FeeEstimate{}, fmt.Errorf("estimate the fee: %w", err)
	}
	if estimate.Max.Cmp(ceiling) > 0 {
		estimate.Max, estimate.Capped = ceiling, true
	}
	return estimate, nil
}

func (n node) estimate(ctx context.Context, blocks int) (chains.FeeEstimate, error) {
	least, err := n.relayFee(ctx)
	if err != nil {
		return chains.FeeEstimate{}, err
	}
	var smart struct {
		FeeRate json.Number `json:"feerate"`
	}
	var plain json.Number
	for _, way := range []struct {
		method string
		answer any
		rate   *json.Number
	}{
		{"estimatesmartfee", &smart, &smart.FeeRate},
		{"estimatefee", &plain, &plain},
	} {
		err := n.CallInto(ctx, way.answer, way.method, blocks)
		if code := rpc.Code(err); code != 0 && code != codeWarmingUp {
			continue // it has no such method, or no opinion
		}
		if err != nil {
			return chains.FeeEstimate{}, err
		}
		if rate := n.rate(*way.rate); rate.Sign() > 0 {
			estimate := chains.FeeEstimate{FeeRate: chains.FeeRate{Max: rate}, Basis: way.method}
			if rate.Cmp(least) < 0 {
				estimate.Max = least
			}
			return estimate, nil
		}
	}
	return chains.FeeEstimate{FeeRate: chains.FeeRate{Max: least}, Basis: relayMinimum}, nil
}

// relayFee returns the least rate that the node takes into its mempool now.
func (n node) relayFee(ctx context.Context) (chains.Amount, error) {
	var info struct {
		Mempool json.Number `json:"mempoolminfee"` // rises while the mempool is full
		Relay   json.Number `json:"minrelaytxfee"`
	}
	least := chains.NewAmount(n.params.RelayFee)
	err := n.CallInto(ctx, &info, "getmempoolinfo")
	if code := rpc.Code(err); code != 0 && code != codeWarmingUp {
		return least, nil
	}
	if err != nil {
		return chains.Amount{}, err
	}
	for _, text := range []json.Number{info.Mempool, info.Relay} {
		if rate := n.rate(text); rate.Cmp(least) > 0 {
			least = rate
		}
	}
	return least, nil
}

// rate reads a rate in whole coins for 1000 virtual bytes, rounded up to base
// units. What is no such number is 0.
func (n node) rate(text json.Number) chains.Amount {
	rate, err := parseRate(text.String(), n.params.Decimals)
	if err != nil {
		return chains.Amount{}
	}
	return rate
}

// parseRate reads a number as JSON writes one, exactly; btcd uses exponents.
func parseRate(text string, decimals int) (chains.Amount, error) {
	var rate big.Rat
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	// An exponent of many digits would be a number of many bytes.
	if len(text) > 32 || len(strings.TrimLeft(exponent, "+-")) > 2 {
		return chains.Amount{}, errRate
	}
	if _, ok := rate.SetString(text); !ok || rate.Sign() < 0 {
		return chains.Amount{}, errRate
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)
	whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(rate.Num(), unit), rate.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	return chains.AmountFromBig(whole), nil
}
