package compress

import (
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/verify"
)

// TestOutlook: a calibration that takes long says how long the run may take, and models that were built say what is left; a run that is
// over soon says nothing.
func TestOutlook(t *testing.T) {
	at := time.Unix(0, 0)
	pass := func(d time.Duration) { at = at.Add(d) }
	l := &outlook{now: func() time.Time { return at }, begun: at}
	says := func(want string) {
		t.Helper()
		if got := l.remark(); got != want {
			t.Errorf("after %s it says %q, want %q", at.Sub(l.begun), got, want)
		}
	}
	l.expects(Options{Goals: []verify.Bound{{Measure: verify.Agreement, Value: 0.99}}})
	pass(5 * time.Second)
	l.calibrates(l.begun, 4, 8, 1)
	says("")
	pass(25 * time.Second)
	l.calibrates(l.begun, 1, 8, 2)
	says("40 min to 6.1 h in all") // 480 s of calibration, times 5 and times 46
	l.builds()
	pass(10 * time.Minute)
	says("40 min to 6.1 h in all")
	l.builds()
	says("at most about 50 min more")
	pass(3 * time.Minute)
	l.builds()
	says("at most about 12 min more")
	pass(13 * time.Minute)
	says("") // it takes longer than that

	l = &outlook{now: l.now, begun: at}
	l.expects(Options{Descent: new(Descent)})
	pass(20 * time.Second)
	l.calibrates(l.begun, 4, 4, 1)
	says("70 s to 7 min in all, before it is tuned")
	pass(time.Hour)
	says("")
	(*outlook)(nil).expects(Options{})
	(*outlook)(nil).calibrates(at, 1, 1, 1)
	(*outlook)(nil).builds()
	if got := (*outlook)(nil).remark(); got != "" {
		t.Errorf("outside of a run it says %q", got)
	}
}
