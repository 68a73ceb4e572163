// Package keys is the surface on which keys, tenants and the audit log are looked
// after. Keys are administered as Blnk documents it, under /api-keys, and under /v1.
//
// Nobody makes, changes or gets hold of a key that can do more than their own.
package keys
