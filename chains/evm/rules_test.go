package evm

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// stage is a chain with the contracts the rules are tried on.
type stage struct {
	*devNode
	source                             *Source
	token, fake, wrapped, stray, payer common.Address
	names                              map[common.Address]string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	g := &stage{devNode: startAnvil(t)}
	g.token = g.deploy("Token", "Tally", "TLY", 1_000_000)
	g.fake = g.deploy("Token", "Tally", "TLY", 1_000_000)
	g.wrapped = g.deploy("Token", "Wrapped", "WETH", 0)
	g.stray = g.deploy("Token", "Wrapped", "WETH", 0)
	g.payer = g.deploy("Payer")
	settings := spec(g.devNode)
	settings.Tokens = []chains.Token{
		{Contract: g.token.Hex(), Symbol: "TLY", Decimals: 6, Slot: -1},
		{Contract: g.wrapped.Hex(), Symbol: "WETH", Decimals: 18, Slot: -1},
	}
	g.source = open(t, settings)
	g.names = map[common.Address]string{
		alice: "alice", bob: "bob", carol: "carol", g.token: "TLY", g.fake: "fake", g.wrapped: "WETH",
		g.stray: "stray", g.payer: "payer", {}: "nobody", systemLog: "system",
	}
	for _, call := range []struct {
		token common.Address
		to    common.Address
	}{{g.token, bob}, {g.fake, bob}} {
		g.receipt(g.send(alice, &call.token, 0, invoke("transfer(address,uint256)", call.to, 1000)))
	}
	return g
}

// TestDepositRules holds every rule of what counts as a deposit, for the native
// coin and ERC-20, against blocks that a node made. Bob and carol are watched.
func TestDepositRules(t *testing.T) {
	t.Parallel()
	g := newStage(t)
	most := word(common.MaxHash)
	for _, tt := range []struct { //nolint:paralleltest // each transaction needs a block of its own
		name  string
		from  common.Address
		to    *common.Address
		value uint64
		data  []byte
		legs  []string // source side amount asset whose peer; * for the amount of a fee
		touch []string
	}{
		{
			name: "Value", from: alice, to: &bob, value: 7,
			legs: []string{"value in 7 native bob alice"}, touch: []string{"bob native"},
		},
		{
			name: "ValueOut", from: bob, to: &alice, value: 7,
			legs: []string{"value out 7 native bob alice", "fee out * native bob -"}, touch: []string{"bob native"},
		},
		{
			name: "SelfTransfer", from: bob, to: &bob, value: 7,
			legs:  []string{"value out 7 native bob bob", "value in 7 native bob bob", "fee out * native bob -"},
			touch: []string{"bob native"},
		},
		{
			name: "ZeroValue", from: alice, to: &bob,
			legs: []string{}, touch: []string{"bob native"},
		},
		{
			name: "FailedTransaction", from: bob, to: &g.payer, value: 7, data: invoke("payAndFail(address)", carol),
			legs: []string{"fee out * native bob -"}, touch: []string{"bob native"},
		},
		{
			name: "FailedWithValueToUs", from: alice, to: &g.token, value: 7, data: invoke("transfer(address,uint256)", bob, 1),
			legs: []string{}, touch: []string{},
		},
		{
			name: "Token", from: alice, to: &g.token, data: invoke("transfer(address,uint256)", bob, 5),
			legs: []string{"log:0 in 5 TLY bob alice"}, touch: []string{"bob TLY"},
		},
		{
			name: "TokenFailed", from: alice, to: &g.token, data: invoke("transfer(address,uint256)", bob, 1_000_001),
			legs: []string{}, touch: []string{},
		},
		{
			name: "SucceededButReturnedFalse", from: alice, to: &g.token, data: invoke("refuse(address,uint256)", bob, 5),
			legs: []string{}, touch: []string{},
		},
		{
			name: "CalldataWithoutLog", from: alice, to: &g.payer, data: invoke("failTransfer(address,address)", g.token, bob),
			legs: []string{}, touch: []string{},
		},
		{
			name: "CalldataToAnAccount", from: alice, to: &carol, data: invoke("transfer(address,uint256)", bob, 5),
			legs: []string{}, touch: []string{"carol native"},
		},
		{
			name: "FakeTokenKeepsItsOwnIdentity", from: alice, to: &g.fake, data: invoke("transfer(address,uint256)", bob, 5),
			legs: []string{"log:0 in 5 fake bob alice"}, touch: []string{"bob fake"},
		},
		{
			name: "ZeroTransfer", from: alice, to: &g.token, data: invoke("transfer(address,uint256)", bob, 0),
			legs: []string{}, touch: []string{"bob TLY"},
		},
		{
			name: "TokenSelfTransfer", from: bob, to: &g.token, data: invoke("transfer(address,uint256)", bob, 3),
			legs:  []string{"log:0 out 3 TLY bob bob", "log:0 in 3 TLY bob bob", "fee out * native bob -"},
			touch: []string{"bob native", "bob TLY"},
		},
		{
			name: "ForgedFromUs", from: alice, to: &g.fake, data: invoke("forge(address,address,uint256)", bob, alice, most),
			legs:  []string{"log:0 out " + most.amount().String() + " fake bob alice"},
			touch: []string{"bob fake"},
		},
		{
			name: "ERC721", from: alice, to: &g.fake, data: invoke("forge721(address,address,uint256)", alice, bob, 1),
			legs: []string{"log:0 in 1 erc721:fake#1 bob alice"}, touch: []string{"bob erc721:fake#1"},
		},
		{
			name: "TransferNotIndexed", from: alice, to: &g.fake, data: invoke("forgeOld(address,address,uint256)", alice, bob, 1),
			legs: []string{}, touch: []string{},
		},
		{
			name: "TransferWithWideTopics", from: alice, to: &g.fake, data: invoke("forgeWide(address,uint256)", bob, 1),
			legs: []string{}, touch: []string{},
		},
		{
			name: "ERC1155", from: alice, to: &g.fake, data: invoke("forge1155(address,address,uint256)", alice, bob, 1),
			legs: []string{"log:0 in 1 erc1155:fake#1 bob alice"}, touch: []string{"bob erc1155:fake#1"},
		},
		{
			name: "ManyLogs", from: alice, to: &g.token, data: invoke("spread(address[],uint256)", []common.Address{bob, carol, alice, bob}, 2),
			legs:  []string{"log:0 in 2 TLY bob alice", "log:1 in 2 TLY carol alice", "log:3 in 2 TLY bob alice"},
			touch: []string{"bob TLY", "carol TLY"},
		},
		{
			name: "Burn", from: bob, to: &g.token, data: invoke("burn(uint256)", 1),
			legs: []string{"log:0 out 1 TLY bob -", "fee out * native bob -"}, touch: []string{"bob native", "bob TLY"},
		},
		{
			name: "MintByCreation", from: bob, data: append(contractCode(t, "Token", "code"), pack("T", "T", 9)...),
			legs: []string{"log:0 in 9 new bob -", "fee out * native bob -"}, touch: []string{"bob native", "bob new"},
		},
		{
			name: "InternalCall", from: alice, to: &g.payer, value: 7, data: invoke("pay(address)", bob),
			legs: []string{"call:0 in 7 native bob payer"}, touch: []string{"bob native"},
		},
		{
			name: "InternalCallInFailedFrame", from: alice, to: &g.payer, value: 7, data: invoke("tryPay(address)", bob),
			legs: []string{}, touch: []string{},
		},
		{
			name: "Selfdestruct", from: alice, to: &g.payer, value: 7, data: invoke("give(address)", bob),
			legs: []string{"call:1.0 in 7 native bob new"}, touch: []string{"bob native"},
		},
		{
			name: "Wrap", from: bob, to: &g.wrapped, value: 9, data: invoke("deposit()"),
			legs:  []string{"value out 9 native bob WETH", "log:0 in 9 WETH bob -", "fee out * native bob -"},
			touch: []string{"bob native", "bob WETH"},
		},
		{
			name: "Unwrap", from: bob, to: &g.wrapped, data: invoke("withdraw(uint256)", 4),
			legs:  []string{"call:0 in 4 native bob WETH", "log:0 out 4 WETH bob -", "fee out * native bob -"},
			touch: []string{"bob native", "bob WETH"},
		},
		{
			name: "WrapOfAContractNobodyListed", from: bob, to: &g.stray, value: 9, data: invoke("deposit()"),
			legs:  []string{"value out 9 native bob stray", "fee out * native bob -"},
			touch: []string{"bob native"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx := g.send(tt.from, tt.to, tt.value, tt.data)
			m, err := blockOf(t, g.source, g.devNode, tx).Match(watching(bob, carol))
			require.NoError(t, err)
			for _, l := range m.Transfers {
				require.Equal(t, chains.Hash(tx), l.Tx)
			}
			require.Equal(t, tt.legs, g.starred(legs(m, g.names)))
			require.Equal(t, tt.touch, g.starred(touches(m, g.names)))
		})
	}
}

// starred puts * for the amounts of fees, and "new" for contracts that were not
// there before.
func (g *stage) starred(lines []string) []string {
	for i, line := range lines {
		fields := strings.Split(line, " ")
		if fields[0] == "fee" {
			fields[2] = "*"
		}
		for k := range fields {
			if fields[k] == "" {
				fields[k] = "new"
			}
		}
		lines[i] = strings.Join(fields, " ")
	}
	return lines
}

// TestLegsSumToTheChange follows one account through all kinds of transactions:
// its native legs must explain every change of its balance to the last wei.
func TestLegsSumToTheChange(t *testing.T) {
	t.Parallel()
	g := newStage(t)
	for i, tx := range []common.Hash{
		g.send(bob, &alice, 100, nil),
		g.send(alice, &bob, 33, nil, "gasPrice", hexNumber(3_000_000_000)),
		g.send(bob, &carol, 5, nil, "gasPrice", hexNumber(3_000_000_000)),
		g.send(bob, &g.payer, 5, invoke("pay(address)", alice)),
		g.send(bob, &g.payer, 5, invoke("payAndFail(address)", alice)),
		g.send(bob, &g.payer, 5, invoke("tryPay(address)", bob)),
		g.send(bob, &g.payer, 5, invoke("give(address)", bob)),
		g.send(bob, &g.wrapped, 50, invoke("deposit()")),
		g.send(bob, &g.wrapped, 0, invoke("withdraw(uint256)", 20)),
	} {
		b := blockOf(t, g.source, g.devNode, tx)
		m, err := b.Match(watching(bob))
		require.NoError(t, err)
		sum := chains.Amount{}
		for _, l := range m.Transfers {
			if l.Asset == g.source.Chain().Native.ID {
				if l.Side == chains.In {
					sum = sum.Add(l.Amount)
				} else {
					sum = sum.Sub(l.Amount)
				}
			}
		}
		require.Equal(t, g.balanceAt(bob, b.Ref().Height).Sub(g.balanceAt(bob, b.Ref().Height-1)).String(), sum.String(), "transaction %d", i)
	}
}

// balanceAt asks the node directly.
func (g *stage) balanceAt(a common.Address, height uint64) chains.Amount {
	g.t.Helper()
	var text string
	require.NoError(g.t, json.Unmarshal(g.call("eth_getBalance", a.Hex(), hexNumber(height)), &text))
	n, ok := new(big.Int).SetString(text[2:], 16)
	require.True(g.t, ok)
	return chains.AmountFromBig(n)
}
