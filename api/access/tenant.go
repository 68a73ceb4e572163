package access

import "regexp"

var tenantID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// TenantRule says what can name a tenant, in words.
const TenantRule = "up to 63 lower-case letters, digits, - and _"

// IsTenantID reports whether a text can name a tenant: it stands in headers, paths
// and logs.
func IsTenantID(text string) bool { return tenantID.MatchString(text) }
