package venue_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

func TestGather(t *testing.T) {
	t.Parallel()
	d := func(s string) venue.Decimal { return decimal(t, s) }
	gathered, err := venue.Gather([]venue.Holding{
		venue.Held(venue.Spot, "USDT", d("1"), d("2")),
		venue.Held(venue.Spot, "BTC", d("0"), d("0")),
		venue.Owned(venue.Earn, "BTC", d("0.1")),
		venue.Owned(venue.Earn, "BTC", d("0.2")),
		venue.Held(venue.Spot, "USDT", d("0.5"), d("0")),
		{Wallet: venue.Margin, Code: "ETH", Borrowed: d("3"), Total: d("0")},
		{Wallet: venue.Margin, Code: "XRP", Total: d("-1"), Borrowed: d("1")},
		{Wallet: venue.Margin, Code: "XRP", Total: d("5")},
	})
	require.NoError(t, err)
	var lines []string
	for _, h := range gathered {
		lines = append(lines, string(h.Wallet)+" "+h.Code+" "+h.Available.String()+" "+h.Locked.String()+" "+h.Borrowed.String()+" "+h.Total.String())
	}
	require.Equal(t, []string{
		"earn BTC    0.3",
		"margin ETH   3 0", // all of it is owed, which is not nothing
		"margin XRP   1 4",
		"spot USDT 1.5 2  3.5",
	}, lines)

	for name, h := range map[string]venue.Holding{
		"NoTotal":     {Wallet: venue.Spot, Code: "BTC"},
		"NoAvailable": venue.Held(venue.Spot, "BTC", venue.Decimal{}, d("1")),
		"NoCode":      venue.Owned(venue.Spot, "", d("1")),
	} {
		_, err := venue.Gather([]venue.Holding{h})
		require.Equal(t, venue.Unreadable, venue.ReasonOf(err), name)
	}
}

// A wallet that cannot be read is named, and takes nothing from the others.
func TestCollector(t *testing.T) {
	t.Parallel()
	c := venue.Collect()
	c.Add(venue.Owned(venue.Spot, "BTC", venue.NewDecimal(1, 0)))
	try := func(ctx context.Context, wallet venue.Wallet, err error) error {
		return c.Try(ctx, wallet, func(context.Context) ([]venue.Holding, error) { return nil, err })
	}
	require.NoError(t, try(t.Context(), venue.Margin, venue.Say(venue.PermissionMissing, "7", "no margin")))
	require.NoError(t, try(t.Context(), venue.Futures, venue.Say(venue.KeyRefused, "8", "")))
	require.NoError(t, try(t.Context(), venue.Options, errors.New("odd")))
	require.NoError(t, try(t.Context(), venue.Earn, nil))
	c.Add(venue.Owned(venue.Staking, "DOT", venue.NewDecimal(1, 0)))
	c.Miss(venue.Staking, venue.NotRead, "there is something more")
	balances, err := c.Balances()
	require.NoError(t, err)
	require.True(t, c.Missed(venue.Staking))
	require.False(t, c.Missed(venue.Spot))
	require.Len(t, balances.Holdings, 1, "half a wallet is shown as all of it")
	reasons := map[venue.Wallet]venue.Reason{}
	for _, missing := range balances.Missing {
		reasons[missing.Wallet] = missing.Reason
	}
	require.Equal(t, map[venue.Wallet]venue.Reason{
		venue.Margin: venue.PermissionMissing, venue.Futures: venue.PermissionMissing, venue.Options: venue.Unreadable, venue.Staking: venue.NotRead,
	}, reasons)

	over := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	require.ErrorIs(t, try(ctx, venue.Earn, errors.New("half")), over)
}

func TestMovements(t *testing.T) {
	t.Parallel()
	d := func(s string) venue.Decimal { return decimal(t, s) }
	buy, err := venue.Swap("BUY", venue.Spot, "BTC", d("0.5"), "USDT", d("20000"))
	require.NoError(t, err)
	sell, err := venue.Swap("sell", venue.Spot, "BTC", d("0.2"), "USDT", d("9000"))
	require.NoError(t, err)
	_, err = venue.Swap("lend", venue.Spot, "BTC", d("1"), "USDT", d("1"))
	require.Equal(t, venue.Unreadable, venue.ReasonOf(err))
	require.Empty(t, venue.Paid(venue.Spot, "USDT", d("0")))
	require.Empty(t, venue.Paid(venue.Spot, "USDT", venue.Decimal{}))
	require.Empty(t, venue.Paid(venue.Spot, "", d("1")))
	require.Equal(t, []string{"spot BTC 0.5", "spot USDT -20000"}, legs(buy))
	require.Equal(t, []string{"spot BTC -0.2", "spot USDT 9000"}, legs(sell))
	require.Equal(t, []string{"spot BNB -0.01"}, legs(venue.Paid(venue.Spot, "BNB", d("0.01"))))
	require.Equal(t, []string{"spot USDT 1"}, legs(venue.Paid(venue.Spot, "USDT", d("-1"))), "a rebate")

	require.Equal(t, "id", venue.Movement{ID: "id"}.Key())
	require.Equal(t, "ref", venue.Movement{ID: "id", Ref: "ref"}.Key())
	require.NotEqual(t, venue.MadeID("ab", "c"), venue.MadeID("a", "bc"), "fields run together")
	require.Equal(t, "made:59b271ae1bbcb1d31d41929817f4b16f", venue.MadeID("a", "b"), "rows that were kept would come again")
}

func legs(list []venue.Leg) []string {
	var lines []string
	for _, leg := range list {
		lines = append(lines, fmt.Sprintf("%s %s %s", leg.Wallet, leg.Code, leg.Amount))
	}
	return lines
}

func TestAccept(t *testing.T) {
	t.Parallel()
	verdict, excess := venue.Judge([]string{"read", "trade", "teleport"}, "read", "view")
	require.Equal(t, venue.TooStrong, verdict)
	require.Equal(t, []string{"trade", "teleport"}, excess, "a right that nobody knows is too much")
	strong := venue.Access{Verdict: verdict, Excess: excess}
	require.ErrorIs(t, strong.Accept(true), venue.ErrTooStrong, "a user's word stood against the venue's")
	require.ErrorIs(t, strong.Accept(false), venue.ErrTooStrong)
	require.ErrorContains(t, strong.Accept(false), "trade, teleport")

	verdict, excess = venue.Judge([]string{"read"}, "read", "view")
	require.Equal(t, venue.ReadOnly, verdict)
	require.Empty(t, excess)
	require.NoError(t, venue.Access{Verdict: verdict}.Accept(false))

	require.ErrorIs(t, venue.Access{Verdict: venue.Unknown}.Accept(false), venue.ErrUnacknowledged)
	require.ErrorIs(t, venue.Access{}.Accept(false), venue.ErrUnacknowledged, "no verdict is not a good one")
	require.NoError(t, venue.Access{Verdict: venue.Unknown}.Accept(true))
	require.Equal(t, []string{"b"}, venue.Lacking([]string{"a", "c"}, "a", "b"))
}
