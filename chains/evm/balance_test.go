package evm

import (
	"context"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// vault is a chain with a token and some holders.
type vault struct {
	*devNode
	token   common.Address
	holders []common.Address
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{devNode: startAnvil(t)}
	v.token = v.deploy("Token", "Tally", "TLY", 1_000_000)
	for i := range 70 {
		v.holders = append(v.holders, fresh(i))
	}
	for range 3 {
		v.receipt(v.send(alice, &v.token, 0, invoke("spread(address[],uint256)", v.holders[:60], 5)))
		v.receipt(v.send(bob, &v.holders[0], 123, nil))
	}
	return v
}

// spec lists the token, with the slot of its balances or -1.
func (v *vault) spec(slot int, nodes ...*devNode) chains.Spec {
	s := spec(nodes...)
	s.Tokens = []chains.Token{{Contract: v.token.Hex(), Symbol: "TLY", Decimals: 6, Slot: slot}}
	return s
}

// touches names all there is to read: of each holder, both balances.
func (v *vault) touches(s *Source) (list []chains.Touch) {
	for _, h := range append([]common.Address{alice, bob}, v.holders...) {
		list = append(list,
			chains.Touch{Script: h[:], Asset: s.Chain().Native.ID},
			chains.Touch{Script: h[:], Asset: chains.TokenID(s.Chain().ID, v.token.Hex())})
	}
	return list
}

// oracle asks the node itself, one balance at a time.
func (v *vault) oracle(t *testing.T, snap chains.Snapshot) string {
	t.Helper()
	holder := common.Address(snap.Script)
	var text string
	if contract := snap.Asset.Contract(); contract != "" {
		call := map[string]string{"to": contract, "data": hexBytes(balanceOf(holder))}
		require.NoError(t, json.Unmarshal(v.call("eth_call", call, hexNumber(snap.At.Height)), &text))
	} else {
		require.NoError(t, json.Unmarshal(v.call("eth_getBalance", holder.Hex(), hexNumber(snap.At.Height)), &text))
	}
	n, ok := new(big.Int).SetString(text[2:], 16)
	require.True(t, ok)
	return n.String()
}

// proofs counts the levels of native and token balances.
func proofs(snaps []chains.Snapshot) (native, token map[chains.Proof]int) {
	native, token = map[chains.Proof]int{}, map[chains.Proof]int{}
	for _, s := range snaps {
		if s.Asset.Contract() == "" {
			native[s.Proof]++
		} else {
			token[s.Proof]++
		}
	}
	return native, token
}

// TestBalances reads the same balances in every way a node and the operator's
// settings allow, at the head and in the past, and compares each with what the
// node says of it alone.
func TestBalances(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	noProof, alsoNone := startLiar(t, v.devNode, refuse("eth_getProof")), startLiar(t, v.devNode, refuse("eth_getProof"))
	twin := startLiar(t, v.devNode, in("", nil))
	proven, asserted, confirmed := map[chains.Proof]int{chains.Proven: 72}, map[chains.Proof]int{chains.Asserted: 72}, map[chains.Proof]int{chains.Confirmed: 72}
	for _, tt := range []struct {
		name          string
		spec          chains.Spec
		native, token map[chains.Proof]int
	}{
		{"Slot", v.spec(0, v.devNode), proven, proven},
		{"NoSlot", v.spec(-1, v.devNode), proven, asserted},
		{"NotListed", spec(v.devNode), proven, asserted},
		{"TwoNodes", v.spec(-1, v.devNode, twin), proven, confirmed},
		{"NodeWithoutProofs", v.spec(0, noProof), asserted, asserted},
		{"TwoNodesWithoutProofs", v.spec(0, noProof, alsoNone), confirmed, confirmed},
		{"SecondNodeProves", v.spec(0, noProof, v.devNode), proven, proven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, tt.spec)
			head, err := s.Head(t.Context())
			require.NoError(t, err)
			past, err := s.RefAt(t.Context(), head.Height-2)
			require.NoError(t, err)
			for _, at := range []chains.BlockRef{head, past} {
				touched := v.touches(s)
				snaps, _, err := s.Balances(t.Context(), at, append(touched, touched[0]))
				require.NoError(t, err)
				require.Len(t, snaps, len(touched))
				for i, snap := range snaps {
					require.Equal(t, chains.Touch{Script: snap.Script, Asset: snap.Asset}, touched[i])
					require.Equal(t, at, snap.At)
					require.Equal(t, v.oracle(t, snap), snap.Amount.String())
				}
				native, token := proofs(snaps)
				require.Equal(t, tt.native, native)
				require.Equal(t, tt.token, token)
			}
		})
	}
}

// refuse is a node that does not have a method: what it answers is an error.
func refuse(method string) lie {
	return func(m string, result any) any {
		if m == method {
			return errNoMethod
		}
		return result
	}
}

// TestLiesAboutBalances sets a lying node alone, and before an honest one.
func TestLiesAboutBalances(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	elsewhere := v.call("eth_getProof", carol.Hex(), []string{}, "latest")
	proof := func(change func(any) any) lie { return in("eth_getProof", change) }
	more := "0x" + common.Bytes2Hex(packNumber(999))
	for _, tt := range []struct {
		name  string
		slot  int
		lie   lie
		alone error // nil: the truth comes out in spite of it
		both  error
	}{
		{"ClaimsMore", 0, proof(func(p any) any { return set(p, "balance", "0xffff") }), nil, nil},
		{"ClaimsMoreInSlot", 0, proof(func(p any) any {
			for _, s := range at(p, "storageProof").([]any) {
				set(s, "value", "0xffff")
			}
			return p
		}), nil, nil},
		{"BreaksTheLastNode", 0, proof(func(p any) any {
			nodes := at(p, "accountProof").([]any)
			last := []byte(nodes[len(nodes)-1].(string))
			last[len(last)/2] ^= 1
			nodes[len(nodes)-1] = string(last)
			return p
		}), chains.ErrUnverified, nil},
		{"OmitsTheLastNode", 0, proof(func(p any) any {
			nodes := at(p, "accountProof").([]any)
			return set(p, "accountProof", nodes[:len(nodes)-1])
		}), chains.ErrUnverified, nil},
		{"ProvesNothing", 0, proof(func(p any) any { return set(p, "accountProof", []any{}) }), chains.ErrUnverified, nil},
		{"ProvesAnother", 0, proof(func(any) any { var p any; _ = json.Unmarshal(elsewhere, &p); return p }), chains.ErrUnverified, nil},
		{"OmitsSlots", 0, proof(func(p any) any { return set(p, "storageProof", []any{}) }), chains.ErrUnverified, nil},
		{"EmptiesSlots", 0, proof(func(p any) any {
			for _, s := range at(p, "storageProof").([]any) {
				set(s, "proof", []any{})
			}
			return p
		}), chains.ErrUnverified, nil},
		{"OtherHeader", 0, in("eth_getBlockByHash", func(b any) any { return set(b, "stateRoot", common.Hash{1}.Hex()) }), chains.ErrUnverified, nil},
		{"CallsLieAgainstProof", 0, in("eth_call", func(any) any { return more }), chains.ErrUnverified, nil},
		{"StateIsGone", 0, proof(func(any) any { return nil }), chains.ErrNotFound, nil},
		{"BlockIsGone", 0, in("eth_getBlockByHash", func(any) any { return nil }), chains.ErrNotFound, nil},
		// Nobody can tell which of two is right, so nothing is told.
		{"CallsLie", -1, in("eth_call", func(any) any { return more }), nil, chains.ErrUnverified},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			liar := startLiar(t, v.devNode, tt.lie)
			check := func(s *Source, want error) {
				head, err := s.Head(t.Context())
				require.NoError(t, err)
				snaps, _, err := s.Balances(t.Context(), head, v.touches(s))
				require.ErrorIs(t, err, want)
				if want != nil {
					require.Empty(t, snaps)
					return
				}
				for _, snap := range snaps {
					if snap.Proof != chains.Asserted {
						require.Equal(t, v.oracle(t, snap), snap.Amount.String())
					}
				}
			}
			check(open(t, v.spec(tt.slot, liar)), tt.alone)
			check(open(t, v.spec(tt.slot, liar, v.devNode)), tt.both)
		})
	}
	t.Run("TwoAgainstOne", func(t *testing.T) {
		t.Parallel()
		liar := startLiar(t, v.devNode, in("eth_call", func(any) any { return more }))
		s := open(t, v.spec(-1, liar, v.devNode, startLiar(t, v.devNode, in("", nil))))
		head, err := s.Head(t.Context())
		require.NoError(t, err)
		snaps, _, err := s.Balances(t.Context(), head, v.touches(s))
		require.NoError(t, err)
		for _, snap := range snaps {
			require.Equal(t, v.oracle(t, snap), snap.Amount.String())
		}
		_, token := proofs(snaps)
		require.Equal(t, map[chains.Proof]int{chains.Confirmed: 72}, token)
	})
}

// TestHostileTokens has tokens whose balanceOf does what it likes: it must harm
// no balance but its own.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.call("anvil_setCode", multicall3.Hex(), hexBytes(contractCode(t, "Multicall", "runtime")))
	mover := v.deploy("Greedy", v.token, false)
	v.receipt(v.send(alice, &v.token, 0, invoke("transfer(address,uint256)", mover, 100)))
	burner := v.deploy("Greedy", v.token, true)
	pretender := v.deploy("Liar")
	second := v.deploy("Token", "Other", "OTH", 50)
	settings := v.spec(-1, v.devNode)
	settings.Tokens = append(settings.Tokens,
		chains.Token{Contract: second.Hex(), Symbol: "OTH", Slot: -1}, chains.Token{Contract: burner.Hex(), Symbol: "BRN", Slot: -1})
	s := open(t, settings)
	require.True(t, s.ability(s.pool.Upstreams()[0]).multicall)
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	token := func(a common.Address) chains.AssetID { return chains.TokenID(s.Chain().ID, a.Hex()) }
	var touched []chains.Touch
	for _, contract := range []common.Address{mover, burner, pretender, v.token, second, bob} {
		touched = append(touched, chains.Touch{Script: alice[:], Asset: token(contract)})
	}
	snaps, _, err := s.Balances(t.Context(), head, touched)
	require.NoError(t, err)
	// The burner and the pretender fail, and bob is no contract: they have no
	// balance to name.
	require.Len(t, snaps, 3)
	require.Equal(t, "7", snaps[0].Amount.String(), "what a contract says of itself is its own affair")
	require.Equal(t, v.oracle(t, snaps[1]), snaps[1].Amount.String())
	require.Equal(t, "50", snaps[2].Amount.String())

	for contract, want := range map[common.Address]chains.Asset{
		v.token: {Symbol: "TLY", Name: "Tally", Decimals: 6, Listed: true},
		mover:   {Name: "Old name", Decimals: -1},
		bob:     {Decimals: -1},
	} {
		want.ID = token(contract)
		asset, err := s.Token(t.Context(), want.ID)
		require.NoError(t, err)
		require.Equal(t, want, asset)
	}
	_, err = s.Token(t.Context(), chains.TokenID("eip155:1", v.token.Hex()))
	require.Error(t, err)
}

// TestBalancesAtTheFirstBlock reads where a development node's header does not
// commit to the accounts it starts with.
func TestBalancesAtTheFirstBlock(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	s := open(t, spec(node))
	head, err := s.Head(context.Background())
	require.NoError(t, err)
	snaps, _, err := s.Balances(t.Context(), head, []chains.Touch{{Script: alice[:], Asset: s.Chain().Native.ID}})
	require.NoError(t, err)
	require.Equal(t, "10000000000000000000000", snaps[0].Amount.String())
	require.Equal(t, chains.Asserted, snaps[0].Proof)
}
