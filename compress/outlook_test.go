package compress

import (
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/verify"
)

// day is an outlook on a clock that goes when it is told.
type day struct {
	*outlook
	t  *testing.T
	at time.Time
}

func newDay(t *testing.T, o Options, e effort) *day {
	d := &day{t: t, at: time.Unix(0, 0)}
	d.outlook = &outlook{now: func() time.Time { return d.at }, begun: d.at}
	d.expects(o)
	d.plans(e)
	return d
}

func (d *day) says(want string) {
	d.t.Helper()
	if got := d.remark(); got != want {
		d.t.Errorf("after %s it says %q, want %q", d.at.Sub(d.begun), got, want)
	}
}

// spend lets time pass in a stage, until a share of its chapter is done.
func (d *day) spend(took time.Duration, share float64) {
	d.at = d.at.Add(took)
	d.goes(share)
}

// TestOutlook: a run says what is left of it, at the pace of what it has done; of a chapter that is on its way, at its own.
func TestOutlook(t *testing.T) {
	d := newDay(t, Options{}, effort{chapterCalibrate: 40, chapterFactor: 10, chapterChoose: 10, chapterRefit: 30, chapterProve: 10})
	d.says("")
	d.enters("calibrate 1/2")
	d.spend(8*time.Second, 0.05)
	d.says("") // not yet
	d.spend(8*time.Second, 0.1)
	d.says("all done in about 6 min") // 384 s of 400
	d.spend(64*time.Second, 0.5)
	d.leaves()
	d.enters("factor 1/2")
	d.spend(10*time.Second, 0.5)
	d.leaves()
	d.says("all done in about 4 min") // 80 s, 10 s, and 50 parts at 90 s for 25
	d.enters("calibrate 2/2")
	d.spend(80*time.Second, 1)
	d.leaves()
	d.enters("search")
	d.enters("factor") // ranks that the choice asks for
	d.enters("correct")
	d.spend(36*time.Second, 0.8)
	d.leaves()
	d.enters("refit")
	d.spend(54*time.Second, 0.5)     // so that what is left of it is 54 s
	d.says("all done in about 90 s") // and 10 parts at 260 s for 75
	d.spend(54*time.Second, 1)
	d.leaves()
	d.enters("verify")
	d.spend(10*time.Second, 0.9)
	d.says("") // next to nothing
}

// TestOutlookOfSearches: a search for goals says between what and what it will be, then what is left by the models that were built.
func TestOutlookOfSearches(t *testing.T) {
	goals := Options{Goals: []verify.Bound{{Measure: verify.Agreement, Value: 0.99}}}
	d := newDay(t, goals, effort{chapterCalibrate: 40, chapterChoose: 10, chapterRefit: 30, chapterProve: 20})
	d.enters("calibrate")
	d.spend(40*time.Second, 1)
	d.leaves()
	d.says("all done in 2 min to 6 min") // 60 s, and 60 s for each model more
	d.build()
	d.spend(10*time.Minute, 0)
	d.build()
	d.says("at most about 50 min more")
	d.spend(3*time.Minute, 0)
	d.build()
	d.says("at most about 12 min more")
	d.spend(13*time.Minute, 0)
	d.says("") // it takes longer than that
}

// TestOutlookBeyond: tuning is left out, and said to be; statistics that are there take nothing; outside of a run there is none.
func TestOutlookBeyond(t *testing.T) {
	d := newDay(t, Options{Descent: new(Descent)}, effort{chapterFactor: 10, chapterRefit: 90})
	d.enters("factor")
	d.spend(20*time.Second, 1)
	d.leaves()
	d.says("all done in about 3 min, before it is tuned")
	d.enters("tune")
	d.spend(time.Minute, 1)

	part := &day{t: t, at: time.Unix(0, 0)} // of which nobody said what it is to do
	part.outlook = &outlook{now: func() time.Time { return part.at }, begun: part.at}
	part.plans(effort{chapterCalibrate: 90, chapterRefit: 1})
	part.enters("calibrate")
	part.spend(time.Minute, 0.1)
	part.says("")

	var none *outlook
	none.expects(Options{})
	none.plans(effort{})
	none.enters("refit")
	none.goes(1)
	none.leaves()
	none.build()
	if got := none.remark(); got != "" {
		t.Errorf("outside of a run it says %q", got)
	}
}

// TestEffort: what is ahead is known from the options: no sweep over the samples whose statistics are there, no refit where there is none.
func TestEffort(t *testing.T) {
	needRuntime(t)
	o := narrow(Options{Targets: []Target{share(MACs, 0.5)}}).WithDefaults()
	a, err := Analyse(t.Context(), thin(t), o)
	if err != nil {
		t.Fatal(err)
	}
	e := a.effort(o, false)
	for c, work := range e {
		if work <= 0 {
			t.Errorf("chapter %d takes %g", c, work)
		}
	}
	if cached := a.effort(o, true); cached[chapterCalibrate] != 0 || cached[chapterRefit] != e[chapterRefit] {
		t.Errorf("with statistics %g, without %g", cached, e)
	}
	o.NoRefit = true
	if without := a.effort(o, false); without[chapterRefit] != 0 {
		t.Errorf("without a refit %g", without)
	}
}
