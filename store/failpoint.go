package store

// The boundaries of a transaction at which Options.Failpoint is called.
const (
	BeforeBegin  = ".before_begin"
	BeforeCommit = ".before_commit"
	AfterCommit  = ".after_commit"
)

// Failpoints returns the name of every commit boundary: of each transaction its
// name followed by BeforeBegin, BeforeCommit or AfterCommit.
func Failpoints() []string {
	var names []string
	for _, name := range []string{
		"register", "rebase", "apply", "revert", "amend", "fill",
		"create_account", "extend", "delete_user", "number", "sync",
		"change_key", "request", "create_vault", "set_vault_status", "register_key", "set_treasury", "register_addresses",
		"create_wallet", "create_address", "transfer", "add_entry", "remove_entry", "set_policy", "resume",
	} {
		names = append(names, name+BeforeBegin, name+BeforeCommit, name+AfterCommit)
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
