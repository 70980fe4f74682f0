//go:build race

package compress

// racing says that the race detector looks on: what works on one thread at a time has nothing for it, and takes twenty times as long.
const racing = true
