package problem

// Code names a kind of problem. It is stable: programs may branch on it, and
// docs/api.md lists every one.
type Code string

// The codes. The status beside each is the usual one; MissingKey and
// InvalidToken differ by surface, as docs/api.md says.
const (
	BadRequest          Code = "bad_request"              // 400: the request cannot be read
	InvalidInput        Code = "invalid_input"            // 400: a field or parameter breaks its rule
	MissingKey          Code = "missing_key"              // 400 or 401: no credential was sent
	InvalidWallet       Code = "invalid_wallet"           // 400: not an address, key or descriptor of this chain
	WalletConnected     Code = "wallet_connected"         // 400: the user has this wallet connected
	LoginRefused        Code = "login_refused"            // 400: the venue does not take the credentials
	KeyTooStrong        Code = "key_too_strong"           // 400: the key can do more than read
	KeyUnverified       Code = "key_unverified"           // 400: nobody but the caller can know what the key may do, and the caller has not said so
	OtherLogin          Code = "other_login"              // 400: the credentials belong to another login than the account's
	InvalidCursor       Code = "invalid_cursor"           // 400: the cursor was not handed out by this API to this user
	IdempotencyRequired Code = "idempotency_key_required" // 400: the operation takes an Idempotency-Key
	InvalidIdempotency  Code = "invalid_idempotency_key"  // 400: not 1 to 64 of A-Z a-z 0-9 _ -
	IdempotencyReused   Code = "idempotency_key_reused"   // 400: the first request with this key had another body
	InsufficientFunds   Code = "insufficient_funds"       // 400: the wallet has less available
	WalletFrozen        Code = "wallet_frozen"            // 400: the wallet owes
	VaultArchived       Code = "vault_archived"           // 400: the vault gives and takes nothing
	VaultNotEmpty       Code = "vault_not_empty"          // 400: the vault holds something
	NoAddress           Code = "no_address"               // 400: no deposit address can be given
	NoDestination       Code = "destination_not_allowed"  // 400: not in the address book, or not yet, or an address of one's own
	NothingThere        Code = "nothing_there"            // 400: the address holds nothing of what is to be swept
	SignedRefused       Code = "signed_refused"           // 400: what was signed is not what was built; the text says which field
	InvalidKey          Code = "invalid_key"              // 401: unknown API key
	ExpiredKey          Code = "expired_key"              // 401: revoked or expired API key
	SignatureRequired   Code = "signature_required"       // 401: the key, or the operation, takes signed requests only
	InvalidSignature    Code = "invalid_signature"        // 401: not the signature of this request by this key
	StaleTimestamp      Code = "stale_timestamp"          // 401: signed too long ago, or in the future
	ReplayedSignature   Code = "replayed_signature"       // 401: a write was signed with this before
	InvalidToken        Code = "invalid_token"            // 401 or 403: forged or expired user token
	InsufficientScope   Code = "insufficient_scope"       // 403: the key may not do this
	AddressRefused      Code = "address_not_allowed"      // 403: the key may not be used from there
	CrossOwner          Code = "cross_owner"              // 403: the key is another owner's
	ScopeEscalation     Code = "scope_escalation"         // 403: more than the caller's own key can do
	NotFound            Code = "not_found"                // 404: no such thing, or another tenant's
	NoRoute             Code = "no_route"                 // 404: no such path
	MethodNotAllowed    Code = "method_not_allowed"       // 405: see the Allow header
	RequestTimeout      Code = "request_timeout"          // 408: the body came too slowly
	RequestRunning      Code = "request_running"          // 409: the first request with this Idempotency-Key still runs
	Exists              Code = "already_exists"           // 409: there is such a thing already
	NoTreasury          Code = "no_treasury"              // 409: no treasury is registered on the chain
	NothingToSign       Code = "nothing_to_sign"          // 409: no draft waits for a signature, or another one
	TooLate             Code = "too_late"                 // 409: signed bytes were accepted, or the end is reached
	KeyRotating         Code = "key_rotating"             // 409: the overlap of the last rotation has not ended
	KeyEnded            Code = "key_ended"                // 409: the API key is revoked or expired
	BodyTooLarge        Code = "body_too_large"           // 413
	UnsupportedMedia    Code = "unsupported_media"        // 415: send application/json
	RateLimited         Code = "rate_limited"             // 429: see Retry-After
	TooManyStreams      Code = "too_many_streams"         // 429: as many streams of events are open as may be
	Internal            Code = "internal"                 // 500: our fault; the log has the cause
	VenueUnavailable    Code = "venue_unavailable"        // 502 or 503: the venue does not answer now, or not in a way that can be read
	Unavailable         Code = "unavailable"              // 503: not ready, or the answer took too long
)

// Codes returns every code there is, for documents and their tests.
func Codes() []Code {
	return []Code{
		BadRequest, InvalidInput, MissingKey, InvalidWallet, WalletConnected,
		LoginRefused, KeyTooStrong, KeyUnverified, OtherLogin, InvalidCursor,
		IdempotencyRequired, InvalidIdempotency, IdempotencyReused,
		InsufficientFunds, WalletFrozen, VaultArchived, VaultNotEmpty, NoAddress, NoDestination, NothingThere, SignedRefused,
		InvalidKey, ExpiredKey, SignatureRequired, InvalidSignature, StaleTimestamp, ReplayedSignature,
		InvalidToken, InsufficientScope, AddressRefused, CrossOwner, ScopeEscalation, NotFound, NoRoute, MethodNotAllowed,
		RequestTimeout, RequestRunning, Exists, NoTreasury, NothingToSign, TooLate, KeyRotating, KeyEnded, BodyTooLarge, UnsupportedMedia, RateLimited, TooManyStreams, Internal, VenueUnavailable, Unavailable,
	}
}
