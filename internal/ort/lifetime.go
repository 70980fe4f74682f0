package ort

import "sync"

// lifetime counts the users of something that is freed once: when it has been
// closed and the last user is gone.
type lifetime struct {
	mu     sync.Mutex
	users  int
	closed bool
	free   func()
}

// acquire adds a user, unless the thing is closed.
func (l *lifetime) acquire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.users++
	return true
}

// release takes a user away.
func (l *lifetime) release() {
	l.mu.Lock()
	l.users--
	last := l.closed && l.users == 0
	l.mu.Unlock()
	if last {
		l.free()
	}
}

// close forbids new users. Closing again does nothing.
func (l *lifetime) close() {
	l.mu.Lock()
	last := !l.closed && l.users == 0
	l.closed = true
	l.mu.Unlock()
	if last {
		l.free()
	}
}
