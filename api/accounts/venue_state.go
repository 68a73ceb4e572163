package accounts

import (
	"strings"

	"tallyd/chains/venue"
	"tallyd/indexer"
)

type (
	// venueState says what there is to say of an account at a venue beside what is
	// said of every account.
	venueState struct {
		Reason    string           `json:"reason,omitempty" doc:"Why the account is not level, in one word to branch on; docs/venues.md lists them" example:"key_refused"`
		Code      string           `json:"code,omitempty" doc:"The venue's own"`
		Detail    string           `json:"detail,omitempty" doc:"The venue's own words"`
		Hint      string           `json:"hint,omitempty" doc:"What the user can do about it"`
		Since     *stamp           `json:"since" nullable:"true" doc:"Since when status is what it is"`
		RetryAt   *stamp           `json:"retry_at" nullable:"true" doc:"When balances are read next; null while status is stopped"`
		Missing   []missingWallet  `json:"missing" nullable:"false" doc:"Wallets that the last reading could not read: what they held before still stands"`
		Warnings  []string         `json:"warnings" nullable:"false" doc:"What the user should know of the key and the account"`
		Totals    []venueTotal     `json:"totals" nullable:"false" doc:"What the venue itself says it is worth, where it does: to compare, never to add up"`
		Histories []venueHistoryOf `json:"histories" nullable:"false" doc:"How far each history was read"`
	}

	// missingWallet is a wallet that could not be read.
	missingWallet struct {
		Wallet string `json:"wallet" example:"earn"`
		Reason string `json:"reason" example:"permission_missing"`
		Detail string `json:"detail"`
	}

	// venueTotal is a venue's own total beside ours.
	venueTotal struct {
		Wallet     string  `json:"wallet" doc:"Empty for all of them together"`
		Code       string  `json:"code" doc:"In what it is counted, as the venue writes it" example:"USDT"`
		Total      *string `json:"total" nullable:"true" doc:"What the venue says"`
		Sum        *string `json:"sum" nullable:"true" doc:"What was read, in the same code; null where it takes prices to tell"`
		Difference *string `json:"difference" nullable:"true" doc:"total less sum; null where it takes prices to tell"`
		At         *stamp  `json:"at" nullable:"true"`
	}

	// venueHistoryOf is how far one history of an account was read.
	venueHistoryOf struct {
		Stream  string      `json:"stream" example:"deposits"`
		Status  string      `json:"status" enum:"none,partial,complete" doc:"complete: all that the venue shows"`
		Covered []timeRange `json:"covered" nullable:"false" doc:"Spans of time that were read whole, the oldest first"`
		Since   *stamp      `json:"since" nullable:"true" doc:"Nothing older can be read; null before the first round"`
		Limits  string      `json:"limits,omitempty" doc:"What it leaves out, or has twice"`
		Reason  string      `json:"reason,omitempty" doc:"Why the last round was not finished"`
		Detail  string      `json:"detail,omitempty"`
	}

	// timeRange is a span of time.
	timeRange struct {
		From stamp `json:"from" doc:"Included"`
		To   stamp `json:"to" doc:"Not included"`
	}
)

// stateOfVenue spells the state of an account at a venue in the form of all.
func stateOfVenue(now indexer.VenueState) state {
	s := state{LastSync: nullable(now.LastSync), Status: now.Status, History: history{Gaps: []indexer.Range{}}}
	more := &venueState{
		Reason: string(now.Reason), Code: now.Code, Detail: now.Detail, Hint: now.Hint, Since: nullable(now.Since), RetryAt: nullable(now.RetryAt),
		Missing: []missingWallet{}, Warnings: append([]string{}, now.Warnings...), Totals: []venueTotal{}, Histories: []venueHistoryOf{},
	}
	s.Venue = more
	if now.Reason != "" {
		text := faultText(now)
		s.Error = &text
	}
	for _, m := range now.Missing {
		more.Missing = append(more.Missing, missingWallet{Wallet: string(m.Wallet), Reason: string(m.Reason), Detail: m.Detail})
	}
	for _, t := range now.Totals {
		more.Totals = append(more.Totals, venueTotal{
			Wallet: string(t.Wallet), Code: t.Code, Total: decimalOrNull(t.Total), Sum: decimalOrNull(t.Sum), Difference: decimalOrNull(t.Difference()),
			At: nullable(&t.At),
		})
	}
	for _, h := range now.Histories {
		more.Histories = append(more.Histories, historyOfVenue(h))
	}
	s.History.Status = string(wholeHistory(now.Histories))
	return s
}

// faultText returns what stands in the way of an account, in one line.
func faultText(now indexer.VenueState) string {
	text := string(now.Reason)
	if now.Code != "" {
		text += " " + now.Code
	}
	if now.Detail != "" {
		text += ": " + now.Detail
	}
	if now.Hint != "" {
		text += " (" + now.Hint + ")"
	}
	return text
}

func historyOfVenue(h indexer.VenueHistory) venueHistoryOf {
	out := venueHistoryOf{
		Stream: string(h.Stream), Status: string(h.Status), Covered: []timeRange{}, Since: nullable(h.Since), Limits: h.Limits,
		Reason: string(h.Reason), Detail: h.Detail,
	}
	if out.Status == "" {
		out.Status = string(indexer.HistoryNone)
	}
	for _, r := range h.Covered {
		out.Covered = append(out.Covered, timeRange{From: stamp(r.From), To: stamp(r.To)})
	}
	return out
}

// wholeHistory returns how much of its past all streams of an account cover.
func wholeHistory(streams []indexer.VenueHistory) indexer.HistoryStatus {
	none, complete := true, len(streams) > 0
	for _, h := range streams {
		none = none && (h.Status == indexer.HistoryNone || h.Status == "")
		complete = complete && h.Status == indexer.HistoryComplete
	}
	switch {
	case none:
		return indexer.HistoryNone
	case complete:
		return indexer.HistoryComplete
	}
	return indexer.HistoryPartial
}

// decimalOrNull returns nil for a number that is not known.
func decimalOrNull(d venue.Decimal) *string {
	if !d.Known() {
		return nil
	}
	text := strings.TrimPrefix(d.String(), "+")
	return &text
}
