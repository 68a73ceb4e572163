package evm

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// TestDisputes lets two nodes, of which one is a real one behind a lie, say
// different things of one balance among others. A contract of a stranger costs
// its own balance only; what the operator vouches for is a lie of a node.
func TestDisputes(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	hostile := v.deploy("Token", "Hostile", "HOS", 50)
	collection := v.deploy("Token", "Editions", "EDS", 0)
	gaveUp := map[string]any{"code": -32000, "message": "execution aborted (timeout = 5s)"}
	broke := map[string]any{"code": -32000, "message": "the answer of this contract is too much"}
	reverted := map[string]any{"code": 3, "message": "execution reverted"}
	busy := map[string]any{"code": -32005, "message": "limit exceeded"}
	says := func(n int) string { return "0x" + common.Bytes2Hex(packNumber(n)) }
	// swap replaces one answer of a method by another.
	swap := func(method string, from, to any) lie {
		return in(method, func(r any) any {
			if r == from {
				return to
			}
			return r
		})
	}
	two := func(l lie) []*devNode { return []*devNode{startLiar(t, v.devNode, l), v.devNode} }
	both := func(ls ...lie) []*devNode {
		all := func(m string, r any) any {
			for _, l := range ls {
				r = l(m, r)
			}
			return r
		}
		return []*devNode{startLiar(t, v.devNode, all), startLiar(t, v.devNode, refuse("eth_getProof"))}
	}
	listed := v.spec(-1)
	listed.Tokens = append(listed.Tokens, chains.Token{Contract: hostile.Hex(), Symbol: "HOS", Slot: -1})
	for _, tt := range []struct {
		name   string
		spec   chains.Spec // its nodes are those below
		nodes  []*devNode
		left   int   // balances of the hostile token that are in no answer: alice's
		unread bool  // they are to be asked again
		want   error // of the whole reading
		lines  int   // that name the contract in the log, after two readings
	}{
		{"Unlisted", v.spec(-1), two(swap("eth_call", says(50), says(51))), 1, true, nil, 1},
		{"UnlistedThreeSayThree", v.spec(-1), append(two(swap("eth_call", says(50), says(51))),
			startLiar(t, v.devNode, swap("eth_call", says(50), says(52)))), 1, true, nil, 1},
		{"UnlistedTwoAgainstOne", v.spec(-1), append(two(swap("eth_call", says(50), says(51))),
			startLiar(t, v.devNode, in("", nil))), 0, false, nil, 0},
		{"OutOfTime", v.spec(-1), two(swap("eth_call", says(50), gaveUp))[:1], 1, true, nil, 1},
		{"OutOfTimeOfOne", v.spec(-1), two(swap("eth_call", says(50), gaveUp)), 0, false, nil, 0},
		{"UnlistedBreaks", v.spec(-1), two(swap("eth_call", says(50), broke))[:1], 1, true, nil, 1},
		{"UnlistedBreaksOne", v.spec(-1), two(swap("eth_call", says(50), broke)), 0, false, nil, 0},
		{"UnlistedReverts", v.spec(-1), two(swap("eth_call", says(50), reverted))[:1], 1, false, nil, 0},
		{"Listed", listed, two(swap("eth_call", says(50), says(51))), 0, false, chains.ErrUnverified, 0},
		{"Native", v.spec(-1), both(refuse("eth_getProof"), swap("eth_getBalance", "0x171", "0x172")), 0, false, chains.ErrUnverified, 0},
		{"NativeBesideUnlisted", v.spec(-1), both(refuse("eth_getProof"), swap("eth_getBalance", "0x171", "0x172"),
			swap("eth_call", says(50), says(51))), 0, false, chains.ErrUnverified, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			source, err := Open(t.Context(), withNodes(tt.spec, tt.nodes), zerolog.New(&log))
			require.NoError(t, err)
			t.Cleanup(source.Close)
			s := source.(*Source)
			head, err := s.Head(t.Context())
			require.NoError(t, err)
			token := chains.TokenID(s.Chain().ID, hostile.Hex())
			disputed := chains.Touch{Script: alice[:], Asset: token}
			touched := append(v.touches(s), disputed, chains.Touch{Script: bob[:], Asset: token})
			for range 2 {
				read, unread, err := s.Balances(t.Context(), head, touched)
				require.ErrorIs(t, err, tt.want)
				if tt.want != nil {
					require.Empty(t, read)
					require.Empty(t, unread)
					continue
				}
				for _, snap := range read {
					require.Equal(t, v.oracle(t, snap), snap.Amount.String())
				}
				require.Len(t, read, len(touched)-tt.left)
				if tt.unread {
					require.Equal(t, []chains.Touch{disputed}, unread)
				} else {
					require.Empty(t, unread)
				}
			}
			if tt.lines >= 0 {
				require.Equal(t, tt.lines, strings.Count(log.String(), "balances of a token left for later"))
				require.Equal(t, tt.lines, strings.Count(log.String(), `"contract":"`+hostile.Hex()+`"`))
			}
			require.NotContains(t, log.String(), strings.TrimPrefix(alice.Hex(), "0x"), "no account stands in the log")
		})
	}

	// What says something of the node is not taken for the doing of a contract.
	for name, settings := range map[string]chains.Spec{
		"ListedBreaks": withNodes(listed, two(swap("eth_call", says(50), broke))[:1]),
		"Busy":         withNodes(v.spec(-1), two(swap("eth_call", says(50), busy))[:1]),
		"NoMethod":     spec(startLiar(t, v.devNode, refuse("eth_call"))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, settings)
			head, err := s.Head(t.Context())
			require.NoError(t, err)
			token := chains.TokenID(s.Chain().ID, hostile.Hex())
			_, _, err = s.Balances(t.Context(), head, append(v.touches(s), chains.Touch{Script: alice[:], Asset: token}))
			require.NotZero(t, rpc.Code(err))
		})
	}

	t.Run("NFT", func(t *testing.T) {
		t.Parallel()
		// The token answers ERC-1155's call as one that fails: each node makes up
		// what it likes.
		nodes := []*devNode{
			startLiar(t, v.devNode, func(m string, r any) any { return made(m, r, says(1)) }),
			startLiar(t, v.devNode, func(m string, r any) any { return made(m, r, says(2)) }),
		}
		s := open(t, v.spec(-1, nodes...))
		head, err := s.Head(t.Context())
		require.NoError(t, err)
		piece := chains.Touch{Script: alice[:], Asset: s.rules.nft(chains.ERC1155, collection, wordFromUint64(7))}
		coin := chains.Touch{Script: alice[:], Asset: s.Chain().Native.ID}
		read, unread, err := s.Balances(t.Context(), head, []chains.Touch{piece, coin})
		require.NoError(t, err)
		require.Len(t, read, 1)
		require.Equal(t, coin.Asset, read[0].Asset)
		require.Equal(t, []chains.Touch{piece}, unread)
	})
}

// withNodes returns the settings of a chain with other nodes.
func withNodes(s chains.Spec, nodes []*devNode) chains.Spec {
	s.Upstreams = spec(nodes...).Upstreams
	return s
}

// made answers every call of a contract with a word.
func made(method string, result any, word string) any {
	if method == "eth_call" {
		return word
	}
	return result
}

// TestLeftTokensAreLoggedRarely holds the lines that strangers can cause to a bound.
func TestLeftTokensAreLoggedRarely(t *testing.T) {
	t.Parallel()
	s := &Source{left: map[common.Address]time.Time{}, nodes: map[*rpc.Upstream]*ability{}}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	require.True(t, s.noteLeft(fresh(0), now))
	require.False(t, s.noteLeft(fresh(0), now.Add(leaveQuiet-1)))
	require.True(t, s.noteLeft(fresh(0), now.Add(leaveQuiet)), "it goes on")
	told := 1
	for i := range 3 * maxLeft {
		if s.noteLeft(fresh(i+1), now.Add(leaveQuiet)) {
			told++
		}
	}
	require.Equal(t, maxLeft, told)
	require.Len(t, s.left, maxLeft)
	require.True(t, s.noteLeft(fresh(1), now.Add(2*leaveQuiet)))
	require.Len(t, s.left, 1)
}
