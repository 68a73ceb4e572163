package store

// The boundaries of a transaction at which Options.Failpoint is called. A
// transaction of a single statement has no BeforeCommit: nothing of ours runs in
// between.
const (
	BeforeBegin  = ".before_begin"
	BeforeCommit = ".before_commit"
	AfterCommit  = ".after_commit"
)

// Failpoints returns the name of every commit boundary: of each transaction its
// name followed by the boundary. The transactions are those of the verbs and all
// others of more than one statement, and the single statements that a delivery
// passes through.
func Failpoints() []string {
	var names []string
	for _, name := range []string{
		"register", "rebase", "apply", "revert", "amend", "fill",
		"create_account", "extend", "delete_account", "delete_user",
		"sync", "end_turn", "replace_login", "resume_stream",
		"change_key", "request",
		"create_endpoint", "change_endpoint", "delete_endpoint", "rotate_secret", "send_test", "resend", "recover",
		"create_vault", "set_vault_status", "register_key", "set_treasury", "register_addresses",
		"create_wallet", "create_address", "transfer", "add_entry", "remove_entry", "set_policy", "resume",
		"withdraw", "move_within", "take_turn", "put_draft", "decline", "accept", "cancel", "bump", "settle_withdrawal",
	} {
		names = append(names, name+BeforeBegin, name+BeforeCommit, name+AfterCommit)
	}
	for _, name := range []string{
		"number", "fan_out", "claim", "complete", "mark", "disable", "beat", "take_over", "leave",
	} {
		names = append(names, name+BeforeBegin, name+AfterCommit)
	}
	return names
}

// fail calls the failpoint of a boundary; in production there is none.
func (s *Store) fail(name string) error {
	if s.failpoint == nil {
		return nil
	}
	return s.failpoint(name)
}

// single runs one statement, which is a transaction of its own, named for its
// failpoints.
func (s *Store) single(name string, statement func() error) error {
	if err := s.fail(name + BeforeBegin); err != nil {
		return err
	}
	if err := statement(); err != nil {
		return err
	}
	// From here on a crash loses nothing: the statement is durable.
	return s.fail(name + AfterCommit)
}
