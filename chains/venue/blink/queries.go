package blink

import (
	"encoding/json"
	"errors"
	"slices"

	"tallyd/chains/venue"
)

// The questions, in full. A test holds them against both schemas of Blink.
const (
	checkQuery = `query tallydCheck { authorization { scopes } me { defaultAccount { id level } } }`

	windDownQuery = `query tallydWindDown { windDown { status receiveDisabledAt finalDeadline } }`

	balancesQuery = `query tallydBalances { me { defaultAccount { wallets { id walletCurrency balance } } } }`

	pendingQuery = `query tallydPending { me { defaultAccount { pendingIncomingTransactions { ...row } } } } ` + rowFragment

	transactionsQuery = `query tallydTransactions($first: Int!, $after: String) { me { defaultAccount { transactions(first: $first, after: $after) ` +
		`{ pageInfo { hasNextPage endCursor } edges { cursor node { ...row } } } } } } ` + rowFragment

	rowFragment = `fragment row on Transaction { id createdAt status memo settlementAmount settlementFee settlementCurrency ` +
		`initiationVia { __typename ... on InitiationViaOnChain { address } ... on InitiationViaLn { paymentHash } } ` +
		`settlementVia { __typename ... on SettlementViaOnChain { transactionHash vout } ... on SettlementViaIntraLedger { counterPartyUsername } } }`
)

// Queries returns all that Blink is ever asked.
func Queries() []string {
	return []string{checkQuery, windDownQuery, balancesQuery, pendingQuery, transactionsQuery}
}

// question is the body of a request. Nothing else may stand in it.
type question struct {
	Query     string     `json:"query"`
	Variables *variables `json:"variables,omitempty"`
}

type variables struct {
	First int    `json:"first"`
	After string `json:"after,omitempty"`
}

func (q question) body() string {
	text, err := json.Marshal(q)
	if err != nil {
		return "" // which is not allowed
	}
	return string(text)
}

// allowed lets through what body wrote of one of the questions, byte for byte.
func allowed(body string) error {
	var q question
	if err := venue.Decode([]byte(body), &q); err != nil {
		return errors.New("the body is no question")
	}
	if !slices.Contains(Queries(), q.Query) || q.body() != body {
		return errors.New("the body is none of the questions")
	}
	return nil
}
