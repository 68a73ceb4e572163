package main

import (
	"cmp"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
	vaults "tallyd/indexer/custody"
)

// wiring is everything that the settings of one chain become.
type wiring struct {
	Spec   chains.Spec
	Follow indexer.FollowConfig
	Search indexer.SearchConfig
	Listed []chains.Asset
	Policy vaults.Policy
	Payer  vaults.PayerConfig
}

func wired(t *testing.T, c config.Chain) wiring {
	t.Helper()
	about := chains.Chain{Slug: "eth", ID: "eip155:1", Native: chains.Asset{ID: "eip155:1/slip44:60", Decimals: 18}}
	policy, err := policyOf(about, c)
	require.NoError(t, err)
	return wiring{specOf("eth", c), followConfig(c), searchConfig(c), listed(about, c), policy, payerConfig(c)}
}

// TestEverySettingOfAChainIsWired changes one setting after the other: each must
// reach an adapter or the engine.
func TestEverySettingOfAChainIsWired(t *testing.T) {
	t.Parallel()
	whole := func() config.Chain {
		c := config.DefaultChain(config.FamilyEVM)
		c.Upstreams = []config.Upstream{{URL: config.NewURL("http://127.0.0.1:1")}}
		c.Tokens = []config.Token{{Symbol: "A", Contract: "0x00000000000000000000000000000000000000aa", Decimals: 6, Slot: -1}}
		c.Tokens = append(c.Tokens, config.Token{Symbol: "B", Contract: "0x00000000000000000000000000000000000000bb"})
		c.Deposits.Rules = []config.CreditRule{{Asset: c.Tokens[0].Contract, From: "1", Credit: config.Confirmed(5)}}
		return c
	}
	// Texts that mean something.
	texts := map[string]string{
		"Trace": "off", "Withdrawals.MaxFee": "0.02", "Deposits.Rules.0.From": "2",
		"Deposits.Rules.0.Asset": "0x00000000000000000000000000000000000000bb",
	}
	// What is read where the settings are checked, and given on as another one.
	given := map[string]string{"Budget": "each upstream's"}
	var changed int
	var walk func(path string, field func(c *config.Chain) reflect.Value)
	walk = func(path string, field func(c *config.Chain) reflect.Value) {
		c := whole()
		value := field(&c)
		switch v := value.Addr().Interface().(type) {
		case *config.StartHeight:
			*v = config.StartAt(7)
		case *config.Credit:
			*v = config.Confirmed(7)
		case *config.URL:
			*v = config.NewURL("ws://127.0.0.1:2")
		case *config.Secret:
			*v = config.NewSecret("changed")
		case *time.Duration:
			*v = 7 * time.Second
		default:
			switch value.Kind() {
			case reflect.Struct:
				for i := range value.NumField() {
					walk(path+"."+value.Type().Field(i).Name, func(c *config.Chain) reflect.Value { return field(c).Field(i) })
				}
				return
			case reflect.Slice:
				walk(path+".0", func(c *config.Chain) reflect.Value { return field(c).Index(0) })
				return
			case reflect.String:
				value.SetString(cmp.Or(texts[path], "changed"))
			case reflect.Bool:
				value.SetBool(!value.Bool())
			case reflect.Int:
				value.SetInt(value.Int() + 3)
			case reflect.Uint64:
				value.SetUint(value.Uint() + 3)
			case reflect.Float64:
				value.SetFloat(3)
			default:
				require.Fail(t, "a kind of setting that is not known here", path)
			}
		}
		changed++
		if _, elsewhere := given[path]; elsewhere {
			require.Equal(t, wired(t, whole()), wired(t, c), path)
			return
		}
		require.NotEqual(t, wired(t, whole()), wired(t, c), "%s changes nothing", path)
	}
	for i := range reflect.TypeFor[config.Chain]().NumField() {
		walk(reflect.TypeFor[config.Chain]().Field(i).Name, func(c *config.Chain) reflect.Value { return reflect.ValueOf(c).Elem().Field(i) })
	}
	require.Greater(t, changed, 25)
}
