package decomp

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// RefusedError says that a method has no usable factors at a rank, though the shape has that rank. Whoever has other
// ranks, or other methods, goes on with these; any other error is a fault.
type RefusedError struct {
	Method string
	Rank   Rank // nil for all ranks
	Reason string
	Err    error // what there is to say beyond that, nil for nothing
}

func (e *RefusedError) Error() string {
	text := "decomp: " + e.Method
	if e.Rank != nil {
		text += fmt.Sprintf(" at rank %v", []int(e.Rank))
	}
	if text += ": " + e.Reason; e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// boundError says that no terms were found that keep within the bound on their norms.
type boundError struct{}

func (*boundError) Error() string { return "no terms were found whose norms keep within the bound" }

// unanswered tells whether an error says that the numbers at hand have no answer, so that a shorter step, another start
// or another rank may serve. Other errors are faults.
func unanswered(err error) bool {
	var bound *boundError
	var numerical *linalg.NumericalError
	return errors.As(err, &bound) || errors.As(err, &numerical)
}

// refused says where an error comes from: of one group of a kernel at a rank, nil for all. It is a *RefusedError where
// the numbers have no answer.
func refused(method string, r Rank, group int, s Shape, err error) error {
	e := &RefusedError{Method: method, Rank: r, Reason: fmt.Sprintf("group %d of a %v kernel", group, s), Err: err}
	if unanswered(err) {
		return e
	}
	return fmt.Errorf("decomp: %s at rank %v: %s: %w", method, []int(r), e.Reason, err)
}
