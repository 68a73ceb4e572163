package webhook

import "reflect"

type (
	venueAccountData struct {
		Venue  string `json:"venue"`
		Reason string `json:"reason,omitempty" doc:"In one word, as the state of the account has it" example:"key_refused"`
		Detail string `json:"detail,omitempty" doc:"The venue's own words"`
		Hint   string `json:"hint,omitempty" doc:"What the user can do about it"`
	}
	venueBalanceData struct {
		Venue   string               `json:"venue"`
		At      string               `json:"at" format:"date-time" doc:"When it was read"`
		Changes []venueBalanceChange `json:"changes"`
	}
	venueBalanceChange struct {
		Wallet string `json:"wallet" example:"spot"`
		Code   string `json:"code" doc:"As the venue writes it"`
		Asset  string `json:"asset" doc:"CAIP-19 id, iso4217:…, group:…, or venue:<name>/<CODE> for a code that is not known"`
		Total  string `json:"total" doc:"In whole units, a decimal string; below 0 for what is owed"`
		Was    string `json:"was" doc:"What was read before"`
	}
	venueMovementData struct {
		Venue    string     `json:"venue"`
		ID       string     `json:"id" doc:"Of the row, as in lists"`
		Stream   string     `json:"stream" doc:"The history it stands in" example:"deposits"`
		Status   string     `json:"status" enum:"pending,settled,failed,canceled,reversed"`
		Was      *string    `json:"was" nullable:"true" doc:"The status before, null for a row that is new"`
		State    string     `json:"state" doc:"The venue's own word for how far it got"`
		Legs     []venueLeg `json:"legs" doc:"What it did, or will do, to the balance"`
		Network  string     `json:"network" doc:"As the venue writes it"`
		Chain    string     `json:"chain" doc:"CAIP-2 id of the network, empty if it is none or not known"`
		Tx       string     `json:"tx" doc:"Hash on that network, empty while there is none"`
		Vout     *int       `json:"vout" nullable:"true"`
		Address  string     `json:"address" doc:"Where it came to or went"`
		Tag      string     `json:"tag" doc:"Memo or tag beside the address"`
		Internal bool       `json:"internal" doc:"Between accounts of the venue: tx, if any, is on no chain"`
		Time     string     `json:"time" format:"date-time"`
	}
	venueLeg struct {
		Wallet string `json:"wallet"`
		Code   string `json:"code"`
		Asset  string `json:"asset"`
		Amount string `json:"amount" doc:"In whole units, a decimal string; below 0 is out"`
		Fee    bool   `json:"fee"`
	}
)

// venueTypes returns the types of events of accounts at venues.
func venueTypes() []EventType {
	account, movement := reflect.TypeFor[venueAccountData](), reflect.TypeFor[venueMovementData]()
	types := []EventType{
		{Name: "account.stopped", Summary: "An account at a venue is not read any more before its user does something: data says what.", Data: account},
		{Name: "account.recovered", Summary: "An account at a venue that had stopped is read again.", Data: account},
		{Name: "balance.updated", Summary: "A reading of an account at a venue found totals that changed.", Data: reflect.TypeFor[venueBalanceData]()},
	}
	for _, kind := range []struct{ name, noun string }{{"venue_deposit", "A deposit at a venue"}, {"venue_withdrawal", "A withdrawal from a venue"}} {
		for _, status := range []struct{ name, is string }{
			{"pending", "is under way, or no longer certain."},
			{"settled", "is in the balance."},
			{"failed", "failed, and changed nothing."},
			{"canceled", "was canceled, and changed nothing."},
			{"reversed", "was in the balance, and the venue took it back."},
		} {
			types = append(types, EventType{Name: kind.name + "." + status.name, Summary: kind.noun + " " + status.is, Data: movement})
		}
	}
	return types
}
