package compress

import (
	"fmt"
	"strings"
)

// UsageError is a request that makes no sense as asked, whatever the model:
// the caller has to change the options.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// UnmetError says that no choice of ranks meets a target. Nothing is written.
type UnmetError struct {
	Target Target
	// Limit is the bound in counts, Reachable the least that any plan needs.
	Limit, Reachable float64
	// Original is what the model needs now.
	Original int64
}

func (e *UnmetError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "target %s cannot be met: at most %.0f %s wanted, the least that can be reached is %.0f (%s=%.3g)",
		e.Target, e.Limit, e.Target.Resource, e.Reachable, e.Target.Resource, e.Reachable/float64(max(e.Original, 1)))
	b.WriteString("; ask for less, or let more nodes change (--only, --keep, --rank-multiple)")
	return b.String()
}
