package compress

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// What is known of a run while it calibrates is only how long that takes. The rest of a run took this many times as long, on the models
// of the bench: more where there are few samples, since factors are found for as many whatever there are.
const (
	leastAfter, mostAfter       = 1, 15  // to find factors and ranks
	leastForModel, mostForModel = 1.5, 5 // to solve one model's sites anew, and to judge it
	leastModels                 = 2      // of those that a search for goals may take
)

// soon is how long a calibration goes on before it says anything of the rest, and work of which less is left is not worth words.
const soon = 10 * time.Second

// outlook foretells how long a run takes: a span from its calibration, and what is left from the models that it has built. A nil one
// foretells nothing.
type outlook struct {
	now    func() time.Time
	models int    // about how many models are built one after the other, at most
	then   string // what comes behind what is foretold, in words

	mu    sync.Mutex
	begun time.Time
	most  time.Duration // the upper end of the span, 0 before there is one
	span  string
	built []time.Duration // what each model took
	since time.Time       // when the present one was begun, zero outside a search for goals
}

func newOutlook() *outlook { return &outlook{now: time.Now, begun: time.Now()} }

// expects notes what a run is to do, from its options.
func (l *outlook) expects(o Options) {
	if l == nil {
		return
	}
	l.models = o.models()
	if o.Descent != nil {
		l.then = ", before it is tuned"
	}
}

// calibrates brings in that done of total steps of a sweep over the samples, one of several, are over since it began.
func (l *outlook) calibrates(began time.Time, done, total, sweeps int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	took := l.now().Sub(began)
	if l.models == 0 || done == 0 || took < soon || len(l.built) > 0 {
		return
	}
	before, all := began.Sub(l.begun).Seconds(), took.Seconds()*float64(total*sweeps)/float64(done)
	low := before + all*(1+leastAfter+leastForModel*float64(min(l.models, leastModels)))
	high := before + all*(1+mostAfter+mostForModel*float64(l.models))
	l.most = time.Duration(high * float64(time.Second))
	l.span = fmt.Sprintf("%s to %s in all%s", roughly(low), roughly(high), l.then)
}

// builds notes that a model of a search for goals is begun.
func (l *outlook) builds() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.since.IsZero() {
		l.built = append(l.built, now.Sub(l.since))
	}
	l.since = now
}

// remark says what is known of the time, "" for nothing.
func (l *outlook) remark() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.built) == 0 {
		if l.now().Sub(l.begun) > l.most {
			return ""
		}
		return l.span
	}
	later := l.built[min(1, len(l.built)-1):] // the first finds most factors, which the others take over
	var sum time.Duration
	for _, d := range later {
		sum += d
	}
	left := sum/time.Duration(len(later))*time.Duration(l.models-len(l.built)) - l.now().Sub(l.since)
	if left < soon {
		return ""
	}
	return fmt.Sprintf("at most about %s more%s", roughly(left.Seconds()), l.then)
}

// roughly writes seconds as people say them.
func roughly(seconds float64) string {
	switch {
	case seconds < 90:
		return fmt.Sprintf("%.0f s", max(10, 10*math.Round(seconds/10)))
	case seconds < 90*60:
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	return fmt.Sprintf("%.1f h", seconds/3600)
}
