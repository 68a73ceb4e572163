// Package localnode starts and stops real chain nodes on this machine, for
// tallyd dev and for tests, and speaks to them: mine, pay, deploy, reorganise.
//
// Every node is a child process that ends with its parent, even when the parent
// is killed with SIGKILL, listens on 127.0.0.1 alone and keeps all its files in
// the folder it was given. Nothing here is meant for a node that holds money:
// the keys are derived from constants.
package localnode
