package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
)

// wiring is everything that the settings of one chain become.
type wiring struct {
	Spec   chains.Spec
	Follow indexer.FollowConfig
	Search indexer.SearchConfig
	Listed []chains.Asset
}

func wired(c config.Chain) wiring {
	about := chains.Chain{ID: "eip155:1"}
	return wiring{specOf("eth", c), followConfig(c), searchConfig(c), listed(about, c)}
}

// TestEverySettingOfAChainIsWired changes one setting after the other: each must
// reach an adapter or the engine.
func TestEverySettingOfAChainIsWired(t *testing.T) {
	t.Parallel()
	whole := func() config.Chain {
		c := config.DefaultChain(config.FamilyEVM)
		c.Upstreams = []config.Upstream{{URL: config.NewURL("http://127.0.0.1:1")}}
		c.Tokens = []config.Token{{Symbol: "A", Contract: "0x00000000000000000000000000000000000000aa", Decimals: 6, Slot: -1}}
		return c
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
				value.SetString(map[bool]string{true: "off", false: "changed"}[value.String() == "auto"])
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
			require.Equal(t, wired(whole()), wired(c), path)
			return
		}
		require.NotEqual(t, wired(whole()), wired(c), "%s changes nothing", path)
	}
	for i := range reflect.TypeFor[config.Chain]().NumField() {
		walk(reflect.TypeFor[config.Chain]().Field(i).Name, func(c *config.Chain) reflect.Value { return reflect.ValueOf(c).Elem().Field(i) })
	}
	require.Greater(t, changed, 25)
}
