package webhook

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

const (
	// A process that has not been heard of for aliveTime is gone.
	aliveTime = 4 * time.Second
	beatTime  = time.Second

	// leaseMargin is how much longer than an attempt a delivery is leased.
	leaseMargin = 15 * time.Second

	gatherTime = 2 * time.Millisecond // between claims, so that they come in batches
	faultTime  = time.Second          // after the database did not answer
	graceTime  = 5 * time.Second      // for attempts under way at the end
	upkeepTime = time.Hour

	// unsignedTime is how long a delivery waits that could not be signed.
	unsignedTime = 30 * time.Second

	fanBatch      = 1000
	claimBatch    = 500
	completeBatch = 500

	defaultTimeout = 15 * time.Second
	defaultPoll    = 100 * time.Millisecond
	defaultFlying  = 2048
	defaultKeep    = 30 * 24 * time.Hour
)

// Config is what a Dispatcher is made of.
type Config struct {
	Outbox  Outbox
	Client  *http.Client  // refuses private addresses, follows no redirect
	Refused error         // what Client says of an address it refuses; nil if it says nothing particular
	Owner   uuid.UUID     // of this process
	Agent   string        // User-Agent
	Timeout time.Duration // of one attempt
	Poll    time.Duration // between looks when nobody calls
	Keep    time.Duration // of the log of what is done
	Flying  int           // attempts at once
	Log     zerolog.Logger
}

// Dispatcher sends deliveries. Any number of processes may run one each.
type Dispatcher struct {
	cfg      Config
	sender   sender
	wake     chan struct{}
	outcomes chan flown
	flights  sync.WaitGroup

	mu    sync.Mutex
	lanes map[uuid.UUID]*lane
	total int // under way, in all lanes

	// Of the loop alone.
	rings map[uuid.UUID]*ring
	swept time.Time
}

// ring is the secrets of an endpoint at a version.
type ring struct {
	version int64
	secrets []Secret
	used    time.Time
	again   time.Time // none could be read: not before then
}

// flown is an outcome with what it says of the endpoint beside.
type flown struct {
	Outcome
	gone bool   // the endpoint wants nothing any more
	mark *Heard // what to mark the endpoint with, nil for nothing
	wake bool   // another delivery may wait for this one
}

// New returns a Dispatcher. Zero durations and numbers have their defaults: 15 s
// for an attempt, 100 ms between looks, 30 days for the log, 2048 attempts at once.
func New(cfg Config) *Dispatcher {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Keep <= 0 {
		cfg.Keep = defaultKeep
	}
	if cfg.Flying <= 0 {
		cfg.Flying = defaultFlying
	}
	return &Dispatcher{
		cfg:      cfg,
		sender:   sender{client: cfg.Client, agent: cfg.Agent, timeout: cfg.Timeout, refused: cfg.Refused},
		wake:     make(chan struct{}, 1),
		outcomes: make(chan flown, cfg.Flying),
		lanes:    map[uuid.UUID]*lane{},
		rings:    map[uuid.UUID]*ring{},
	}
}

// Wake says that there may be something to send. It never waits, and nothing
// depends on it but time.
func (d *Dispatcher) Wake() {
	select {
	case d.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run sends until ctx ends, lets attempts under way end within seconds, gives up
// what is left, and returns ctx's cause.
func (d *Dispatcher) Run(ctx context.Context) error {
	// Attempts, their outcomes and the sign of life outlast ctx by the grace.
	flying, land := context.WithCancel(context.WithoutCancel(ctx))
	defer land()
	d.open(ctx)
	var around sync.WaitGroup
	around.Go(func() { d.live(flying) })
	around.Go(func() { d.upkeep(flying) })
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		d.record(flying)
	}()
	d.loop(ctx, flying)

	landed := make(chan struct{})
	go func() {
		defer close(landed)
		d.flights.Wait()
		close(d.outcomes)
		<-recorded
	}()
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case <-landed:
	case <-grace.C:
	}
	land()
	<-landed
	around.Wait()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTime)
	defer cancel()
	if err := d.cfg.Outbox.Leave(leaving, d.cfg.Owner); err != nil {
		d.cfg.Log.Warn().Err(err).Msg("deliveries not given up")
	}
	return context.Cause(ctx)
}

// open says that this process lives before it claims anything, and makes room for
// what it will write; without that room it is written all the same.
func (d *Dispatcher) open(ctx context.Context) {
	for {
		_, err := d.cfg.Outbox.Beat(ctx, d.cfg.Owner, aliveTime)
		if err == nil || ctx.Err() != nil {
			break
		}
		d.cfg.Log.Warn().Err(err).Msg("deliveries not begun")
		pass(ctx, faultTime)
	}
	d.keepUp(ctx)
}

// loop steps until ctx ends.
func (d *Dispatcher) loop(ctx, flying context.Context) {
	tick := time.NewTicker(d.cfg.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		moved, err := d.step(ctx, flying)
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Warn().Err(err).Msg("deliveries not claimed")
			pass(ctx, faultTime)
			continue
		}
		if moved {
			pass(ctx, gatherTime)
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-d.wake:
			pass(ctx, gatherTime)
		}
	}
}

// pass waits for a time, or until ctx ends.
func pass(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step queues new events and begins what is due. It reports whether there may be
// more at once.
func (d *Dispatcher) step(ctx, flying context.Context) (moved bool, err error) {
	fanned, err := d.cfg.Outbox.FanOut(ctx, fanBatch)
	if err != nil {
		return false, err //nolint:wrapcheck // the store says what it was doing
	}
	rooms, left := d.rooms()
	if left == 0 {
		return false, nil
	}
	limit := min(left, claimBatch)
	claimed, err := d.cfg.Outbox.Claim(ctx, d.cfg.Owner, d.cfg.Timeout+leaseMargin, rooms, limit)
	if err != nil {
		return false, err //nolint:wrapcheck // the store says what it was doing
	}
	began := time.Now()
	d.sweep(began)
	for _, c := range claimed {
		secrets := d.secrets(ctx, c, began)
		if ctx.Err() != nil {
			return false, context.Cause(ctx) // nothing begins any more: it is given up with all that is left
		}
		l := d.begin(c)
		d.flights.Go(func() { d.fly(flying, c, l, secrets, began) })
	}
	return fanned == fanBatch || len(claimed) == limit, nil
}

// rooms returns what there is room for at the endpoints that this process knows,
// and how many attempts may begin in all. The slow ones share half of these,
// however many they are: what is quick finds room and makes room again.
func (d *Dispatcher) rooms() (rooms map[uuid.UUID]Room, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	rooms = make(map[uuid.UUID]Room, len(d.lanes))
	var slow []uuid.UUID
	share := d.cfg.Flying / 2
	for id, l := range d.lanes {
		rooms[id] = Room{Version: l.version, Free: l.free(now), Flying: l.flying}
		if l.slow(now) {
			slow = append(slow, id)
			share -= l.flying
		}
	}
	for _, id := range slow {
		room := rooms[id]
		room.Free = min(room.Free, (max(share, 0)+len(slow)-1)/len(slow))
		rooms[id] = room
	}
	return rooms, d.cfg.Flying - d.total
}

// sweep forgets, now and then, what nothing was sent to for long: also what was
// deleted.
func (d *Dispatcher) sweep(now time.Time) {
	if now.Sub(d.swept) < forgetTime {
		return
	}
	d.swept = now
	maps.DeleteFunc(d.rings, func(_ uuid.UUID, r *ring) bool { return now.Sub(r.used) >= forgetTime })
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.lanes, func(_ uuid.UUID, l *lane) bool { return l.idle(now) })
}

// secrets returns what a delivery is signed with, from memory unless the endpoint
// has changed since; none if they cannot be read now.
func (d *Dispatcher) secrets(ctx context.Context, c Claimed, now time.Time) []Secret {
	r := d.rings[c.Endpoint]
	if r == nil || r.version < c.Version || r.secrets == nil && !now.Before(r.again) {
		secrets, version, err := d.cfg.Outbox.Secrets(ctx, c.Endpoint)
		r = &ring{version: max(version, c.Version), secrets: secrets}
		if err != nil && ctx.Err() == nil {
			r.again = now.Add(unsignedTime)
			d.cfg.Log.Error().Err(err).Stringer("endpoint", c.Endpoint).Msg("signing secrets not read")
		}
		d.rings[c.Endpoint] = r
	}
	r.used = now
	return r.secrets
}

// begin counts an attempt and returns its lane.
func (d *Dispatcher) begin(c Claimed) *lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.lanes[c.Endpoint]
	if !ok {
		l = newLane(c)
		d.lanes[c.Endpoint] = l
	}
	l.began(c, time.Now())
	d.total++
	return l
}

// end counts the end of an attempt. It returns whether others may have waited for
// it, and how many have failed in a row.
func (d *Dispatcher) end(c Claimed, l *lane, v verdict, took time.Duration) (waited bool, streak int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	waited = l.full() || l.slow(now) || d.total >= d.cfg.Flying
	l.ended(c.Version, v, took, now)
	d.total--
	return waited, l.streak
}

// fly makes one attempt and hands its outcome on.
func (d *Dispatcher) fly(ctx context.Context, c Claimed, l *lane, secrets []Secret, began time.Time) {
	now := time.Now()
	if now.Sub(began) > leaseMargin {
		// This process was stopped for so long that the delivery may be another's.
		d.end(c, l, unknown, 0)
		return
	}
	keys := inForce(secrets, now)
	if len(keys) == 0 {
		out := Outcome{
			Endpoint: c.Endpoint, Seq: c.Event.Seq, Attempt: c.Attempt, State: Waiting, Rung: c.Rung, Wait: unsignedTime,
			At: now, URL: c.URL, Error: "the signing secret cannot be read", Headers: []byte("{}"),
		}
		waited, _ := d.end(c, l, unknown, 0)
		d.outcomes <- flown{Outcome: out, wake: waited}
		return
	}
	a := d.sender.send(ctx, c, keys)
	if ctx.Err() != nil {
		// We have cut it off ourselves: what came of it is not known.
		d.end(c, l, unknown, 0)
		return
	}
	out := outcome(c, a, rand.Float64()) //nolint:gosec // it keeps nothing secret
	v := refused
	if out.State == Delivered {
		v = taken
	}
	waited, streak := d.end(c, l, v, a.took)
	d.log(c, a, out)
	d.outcomes <- flown{
		Outcome: out, gone: a.status == http.StatusGone, mark: mark(c, out, v, streak), wake: c.Ordered || waited,
	}
	if waited {
		d.Wake()
	}
}

// inForce returns the keys of secrets that have not ended, the newest first.
func inForce(secrets []Secret, now time.Time) [][]byte {
	keys := make([][]byte, 0, len(secrets))
	for _, s := range secrets {
		if s.ExpiresAt == nil || now.Before(*s.ExpiresAt) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// outcome says what an answer means for its delivery.
func outcome(c Claimed, a answer, random float64) Outcome {
	out := Outcome{
		Endpoint: c.Endpoint, Seq: c.Event.Seq, Attempt: c.Attempt, State: Waiting, Rung: c.Rung, At: a.at, Took: a.took,
		URL: c.URL, Status: a.status, Error: a.error, Headers: a.headers, Body: a.body,
	}
	switch {
	case a.error == "":
		out.State = Delivered
	case a.status == http.StatusGone:
		// The endpoint will be disabled; if ever it is enabled, this is sent.
	default:
		out.Rung++
		var left bool
		if out.Wait, left = pause(out.Rung, a.retry, random); !left {
			out.State = Failed
		}
	}
	return out
}

// mark returns what an attempt says of an endpoint that its owner should see.
func mark(c Claimed, out Outcome, v verdict, streak int) *Heard {
	switch {
	case v == taken && c.Failing:
		return &Heard{Endpoint: c.Endpoint, URL: c.URL}
	case v == refused && !c.Failing && (streak >= trip || out.Rung >= trip):
		return &Heard{Endpoint: c.Endpoint, URL: c.URL, Error: out.Error}
	}
	return nil
}

func (d *Dispatcher) log(c Claimed, a answer, out Outcome) {
	d.cfg.Log.Info().AnErr("cause", a.cause).Stringer("endpoint", c.Endpoint).Int64("sequence", c.Event.Seq).Stringer("event", c.Event.ID).Str("type", c.Event.Type).
		Int("attempt", c.Attempt).Int("status", a.status).Str("error", a.error).Dur("duration_ms", a.took).
		Str("state", string(out.State)).Dur("wait_ms", out.Wait).Msg("delivery attempted")
}

// live says that this process lives, and takes over from those that do not.
func (d *Dispatcher) live(ctx context.Context) {
	for {
		pass(ctx, beatTime)
		if ctx.Err() != nil {
			return
		}
		freed, err := d.cfg.Outbox.Beat(ctx, d.cfg.Owner, aliveTime)
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Warn().Err(err).Msg("sign of life not written")
		}
		if freed > 0 {
			d.cfg.Log.Info().Int("deliveries", freed).Msg("deliveries taken over")
			d.Wake()
		}
	}
}

// upkeep keeps the log of what is done within its time.
func (d *Dispatcher) upkeep(ctx context.Context) {
	for {
		pass(ctx, upkeepTime)
		if ctx.Err() != nil {
			return
		}
		d.keepUp(ctx)
	}
}

func (d *Dispatcher) keepUp(ctx context.Context) {
	if err := d.cfg.Outbox.Upkeep(ctx, d.cfg.Keep); err != nil && ctx.Err() == nil {
		d.cfg.Log.Warn().Err(err).Msg("log of deliveries not kept up")
	}
}
