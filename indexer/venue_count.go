package indexer

// VenueCount is how many accounts of one realm at one venue are in one status.
type VenueCount struct {
	Realm    Realm
	Venue    string
	Status   string // see VenueState
	Accounts int64
}
