package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store/db"
)

// keptMovement is a row of a venue's history as it is kept. Its names outlive a
// version.
type keptMovement struct {
	Key     string        `json:"key"`
	ID      string        `json:"id"`
	Ref     string        `json:"ref,omitempty"`
	Group   string        `json:"group,omitempty"`
	Kind    venue.Kind    `json:"kind"`
	Type    string        `json:"type,omitempty"`
	Status  venue.Status  `json:"status"`
	State   string        `json:"state,omitempty"`
	Legs    []keptLeg     `json:"legs,omitempty"`
	Network string        `json:"network,omitempty"`
	TxHash  string        `json:"tx,omitempty"`
	Vout    int           `json:"vout"`
	Address string        `json:"address,omitempty"`
	Tag     string        `json:"tag,omitempty"`
	Inside  bool          `json:"inside,omitempty"`
	Time    time.Time     `json:"time"`
	Updated *time.Time    `json:"updated,omitempty"`
	Shown   bool          `json:"shown"`
	stream  venue.Stream  // its column
	tx      []byte        // TxHash, if it is a transaction of a chain
	digest  [32]byte      // of stream and key
	text    []byte        // all of it, as it is written
	was     *keptMovement // what stood before; nil if nothing did
}

type keptLeg struct {
	Wallet venue.Wallet  `json:"wallet,omitempty"`
	Code   string        `json:"code"`
	Amount venue.Decimal `json:"amount"`
	Fee    bool          `json:"fee,omitempty"`
}

// keepMovement returns a row as it will be read back.
func keepMovement(stream venue.Stream, m venue.Movement, shown bool) (keptMovement, error) {
	k := keptMovement{
		Key: m.Key(), ID: m.ID, Ref: m.Ref, Group: m.Group, Kind: m.Kind, Type: m.Type, Status: m.Status, State: m.State, Network: m.Network,
		TxHash: m.TxHash, Vout: m.Vout, Address: m.Address, Tag: m.Tag, Inside: m.Inside, Time: moment(m.Time), Shown: shown,
	}
	if !m.Updated.IsZero() {
		updated := moment(m.Updated)
		k.Updated = &updated
	}
	for _, leg := range m.Legs {
		k.Legs = append(k.Legs, keptLeg{Wallet: leg.Wallet, Code: kept(leg.Code), Amount: leg.Amount, Fee: leg.Fee})
	}
	// What stands in the ledger is compared with what would stand there.
	text, err := document(k)
	if err != nil {
		return k, err
	}
	k = keptMovement{}
	if err := json.Unmarshal(text, &k); err != nil {
		return k, fmt.Errorf("read a row back: %w", err)
	}
	if k.text, err = json.Marshal(k); err != nil {
		return k, fmt.Errorf("write a row: %w", err)
	}
	k.stream, k.digest = stream, sha256.Sum256([]byte(string(stream)+"\n"+m.Key()))
	if hash, err := chains.ParseHash(m.TxHash); err == nil && !m.Inside {
		k.tx = hash[:]
	}
	return k, nil
}

// history writes one page of a history with its progress.
func (w *syncing) history(ctx context.Context, read *indexer.Reading) error {
	if read == nil {
		return nil
	}
	changed, err := w.changed(ctx, read)
	if err != nil {
		return err
	}
	if err := w.putMovements(ctx, read.Stream, changed); err != nil {
		return err
	}
	return w.progress(ctx, read)
}

// changed returns the rows of a page that are not in the ledger as they are. Of one
// that came twice the last counts.
func (w *syncing) changed(ctx context.Context, read *indexer.Reading) ([]keptMovement, error) {
	var page []keptMovement
	place := map[[32]byte]int{}
	digests := [][]byte{}
	for i, m := range read.Movements {
		k, err := keepMovement(read.Stream, m, read.Shown[i])
		if err != nil {
			return nil, err
		}
		if at, twice := place[k.digest]; twice {
			page[at] = k
			continue
		}
		place[k.digest] = len(page)
		page, digests = append(page, k), append(digests, k.digest[:])
	}
	rows, err := w.q.VenueMovementsByDigest(ctx, db.VenueMovementsByDigestParams{AccountID: w.account, Digests: digests})
	if err != nil {
		return nil, fmt.Errorf("read %d rows: %w", len(page), err)
	}
	for _, row := range rows {
		var was keptMovement
		if err := json.Unmarshal(row.Data, &was); err != nil {
			return nil, fmt.Errorf("read row %d: %w", row.ID, err)
		}
		if was.text, err = json.Marshal(was); err != nil {
			return nil, fmt.Errorf("write row %d: %w", row.ID, err)
		}
		page[place[[32]byte(row.Digest)]].was = &was
	}
	var changed []keptMovement
	for _, k := range page {
		if k.was == nil || !bytes.Equal(k.was.text, k.text) {
			changed = append(changed, k)
		}
	}
	return changed, nil
}

// putMovements writes rows that are new or changed, with their events.
func (w *syncing) putMovements(ctx context.Context, stream venue.Stream, changed []keptMovement) error {
	if len(changed) == 0 {
		return nil
	}
	p := db.PutVenueMovementsParams{AccountID: w.account, Tenant: w.row.Tenant, Environment: w.row.Environment, Stream: string(stream)}
	for i := range changed {
		k := &changed[i]
		for _, leg := range k.Legs {
			w.see(leg.Code)
		}
		p.Digests, p.Kinds, p.Statuses = append(p.Digests, k.digest[:]), append(p.Kinds, string(k.Kind)), append(p.Statuses, string(k.Status))
		p.Shown, p.Ats, p.Txs, p.Datas = append(p.Shown, k.Shown), append(p.Ats, k.Time), append(p.Txs, k.tx), append(p.Datas, string(k.text))
	}
	rows, err := w.q.PutVenueMovements(ctx, p)
	if err != nil {
		return fmt.Errorf("put %d rows: %w", len(changed), err)
	}
	written := make(map[[32]byte]db.PutVenueMovementsRow, len(rows))
	for _, row := range rows {
		written[[32]byte(row.Digest)] = row
	}
	for i := range changed {
		if k := &changed[i]; w.tellsOf(k) {
			row := written[k.digest]
			w.events = append(w.events, venueEvent{
				kind: "venue_" + string(k.Kind) + "." + string(k.Status), resource: strconv.FormatInt(row.ID, 10), version: row.Version, data: w.movementData(row.ID, k),
			})
		}
	}
	w.synced.Movements = len(changed)
	return nil
}

// tellsOf reports whether a changed row is an event: a deposit or a withdrawal that
// came since the account was connected, or is under way, or became another. What
// lay in the past by then is none.
func (w *syncing) tellsOf(k *keptMovement) bool {
	if !k.Shown || k.Kind != venue.Deposit && k.Kind != venue.Withdrawal {
		return false
	}
	if k.was == nil {
		return k.Status == venue.Pending || !k.Time.Before(w.row.CreatedAt)
	}
	return k.was.Status != k.Status || k.was.TxHash != k.TxHash
}

// movementData is what events of deposits and withdrawals tell.
type movementData struct {
	Venue    string        `json:"venue"`
	ID       string        `json:"id"`
	Stream   venue.Stream  `json:"stream"`
	Status   venue.Status  `json:"status"`
	Was      *venue.Status `json:"was"`
	State    string        `json:"state"`
	Legs     []legData     `json:"legs"`
	Network  string        `json:"network"`
	Chain    string        `json:"chain"`
	Tx       string        `json:"tx"`
	Vout     *int          `json:"vout"`
	Address  string        `json:"address"`
	Tag      string        `json:"tag"`
	Internal bool          `json:"internal"`
	Time     time.Time     `json:"time"`
}

type legData struct {
	Wallet venue.Wallet  `json:"wallet"`
	Code   string        `json:"code"`
	Asset  string        `json:"asset"`
	Amount venue.Decimal `json:"amount"`
	Fee    bool          `json:"fee"`
}

func (w *syncing) movementData(id int64, k *keptMovement) movementData {
	data := movementData{
		Venue: w.row.Venue, ID: strconv.FormatInt(id, 10), Stream: k.stream, Status: k.Status, State: k.State, Legs: []legData{}, Network: k.Network,
		Chain: w.table.Network(w.row.Venue, k.Network), Tx: k.TxHash, Address: k.Address, Tag: k.Tag, Internal: k.Inside, Time: k.Time,
	}
	if k.was != nil {
		data.Was = &k.was.Status
	}
	if k.Vout >= 0 {
		data.Vout = &k.Vout
	}
	for _, leg := range k.Legs {
		data.Legs = append(data.Legs, legData{
			Wallet: leg.Wallet, Code: leg.Code, Asset: string(w.table.Identify(w.row.Venue, leg.Code).Asset), Amount: leg.Amount, Fee: leg.Fee,
		})
	}
	return data
}

// progress writes how far a history is read. What was covered stays so, whatever
// the page's reader believes.
func (w *syncing) progress(ctx context.Context, read *indexer.Reading) error {
	histories, err := w.q.Histories(ctx, w.account)
	if err != nil {
		return fmt.Errorf("read histories: %w", err)
	}
	progress := read.Progress
	for _, h := range histories {
		if h.Stream != string(read.Stream) {
			continue
		}
		var before venue.Progress
		if err := json.Unmarshal(h.Progress, &before); err != nil {
			return fmt.Errorf("read progress of %s: %w", h.Stream, err)
		}
		for _, r := range before.Covered {
			progress.Covered = progress.Covered.Add(r)
		}
	}
	text, err := document(progress)
	if err != nil {
		return err
	}
	since := moment(read.Since)
	p := db.PutHistoryParams{
		AccountID: w.account, Stream: string(read.Stream), Place: int32(read.Place), Progress: text, Since: &since, Due: read.Due, Limits: read.Limits,
	}
	if read.Done {
		now := time.Now()
		p.DoneAt = &now
	}
	if err := w.q.PutHistory(ctx, p); err != nil {
		return fmt.Errorf("write progress of %s: %w", read.Stream, err)
	}
	return nil
}
