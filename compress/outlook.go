package compress

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// leastModels is of how many models a search for goals consists at least.
const leastModels = 2

const (
	// soon is how long a run goes on before it says anything of what is left, and work of which less is left is not worth words.
	soon = 10 * time.Second
	// ownPace is the share of a chapter from which on its own pace tells what is left of it, and not that of the chapters before.
	ownPace = 0.1
)

// chapter is a part of a run, in their order; those from chapterChoose on are gone through for every model of a search for goals.
type chapter int

const (
	chapterCalibrate chapter = iota
	chapterFactor
	chapterChoose
	chapterRefit
	chapterProve
	chapters
)

// chapterOf is the chapter of a stage, by its name without the turn.
func chapterOf(stage string) (chapter, bool) {
	name, _, _ := strings.Cut(stage, " ")
	switch name {
	case "calibrate":
		return chapterCalibrate, true
	case "factor", "eliminate":
		return chapterFactor, true
	case "search", "correct", "compare":
		return chapterChoose, true
	case "refit":
		return chapterRefit, true
	case "rewrite", "write", "verify", "judge":
		return chapterProve, true
	}
	return 0, false
}

// outlook foretells how long a run takes, from the arithmetic that is ahead of it and from how long it took what is done. A nil one foretells
// nothing.
type outlook struct {
	now    func() time.Time
	models int    // about how many models are built one after the other, at most
	then   string // what comes behind what is foretold, in words

	mu     sync.Mutex
	begun  time.Time
	ahead  effort                  // all of it, of one model
	done   [chapters]float64       // the share of each that is done
	took   [chapters]time.Duration // in stages that are over
	at     chapter                 // of the stage on its way
	since  time.Time               // when that was begun, zero outside of any
	built  []time.Duration         // what each model of a search for goals took
	builds time.Time               // when the present one was begun, zero outside of such a search
}

func newOutlook() *outlook { return &outlook{now: time.Now, begun: time.Now()} }

// expects notes what a run is to do, from its options.
func (l *outlook) expects(o Options) {
	if l == nil {
		return
	}
	l.models = o.models()
	if o.latency() != nil {
		l.models = max(l.models, 1+corrections)
	}
	if o.Descent != nil {
		l.then = ", before it is tuned"
	}
}

// plans notes the arithmetic that is ahead.
func (l *outlook) plans(e effort) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = e
}

// enters notes that a stage begins. What is before the choice is over when that begins: ranks that are still to be factored are part of it.
func (l *outlook) enters(stage string) {
	c, ok := chapterOf(stage)
	if l == nil || !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at >= chapterChoose && c < chapterChoose {
		c = chapterChoose
	}
	for before := chapterCalibrate; c >= chapterChoose && before < c; before++ {
		l.done[before] = 1
	}
	l.at, l.since = c, l.now()
}

// goes notes that a share of the present chapter is done.
func (l *outlook) goes(share float64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		l.done[l.at] = min(max(l.done[l.at], share), 1)
	}
}

// leaves notes that the stage is over.
func (l *outlook) leaves() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		l.took[l.at] += l.now().Sub(l.since)
	}
	l.since = time.Time{}
}

// build notes that a model of a search for goals is begun.
func (l *outlook) build() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.builds.IsZero() {
		l.built = append(l.built, now.Sub(l.builds))
	}
	l.builds = now
}

// remark says what is known of the time, "" for nothing.
func (l *outlook) remark() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.built) > 0 {
		return l.more()
	}
	low, high := l.left()
	if l.now().Sub(l.begun) < soon || high < soon.Seconds() {
		return ""
	}
	if from, to := roughly(low), roughly(high); from != to {
		return fmt.Sprintf("all done in %s to %s%s", from, to, l.then)
	}
	return fmt.Sprintf("all done in about %s%s", roughly(high), l.then)
}

// more says what is left of a search for goals, by the models that were built: the first finds most factors, which the others take over.
func (l *outlook) more() string {
	later := l.built[min(1, len(l.built)-1):]
	var sum time.Duration
	for _, d := range later {
		sum += d
	}
	left := sum/time.Duration(len(later))*time.Duration(l.models-len(l.built)) - l.now().Sub(l.builds)
	if left < soon {
		return ""
	}
	return fmt.Sprintf("at most about %s more%s", roughly(left.Seconds()), l.then)
}

// left is how many seconds are left where as few models are built as may be, and where as many: at the pace of a chapter where much of it is
// done, else at that of all chapters. Both are 0 where nothing is known.
func (l *outlook) left() (low, high float64) {
	var took [chapters]float64
	spent, worked := 0.0, 0.0
	for c := range took {
		took[c] = l.took[c].Seconds()
		if !l.since.IsZero() && l.at == chapter(c) {
			took[c] += l.now().Sub(l.since).Seconds()
		}
		if l.ahead[c] > 0 && l.done[c] > 0 {
			spent, worked = spent+took[c], worked+l.ahead[c]*l.done[c]
		}
	}
	if worked == 0 || l.models == 0 { // or other work than a run, such as a part of one, or many at once
		return 0, 0
	}
	var first, again float64 // what is left of the first model, and what each other takes
	for c := range took {
		all := l.ahead[c] * spent / worked
		if done := l.done[c]; done >= ownPace {
			all = took[c] / done
		}
		first += all * (1 - l.done[c])
		if chapter(c) >= chapterChoose {
			again += all
		}
	}
	return first + again*float64(min(l.models, leastModels)-1), first + again*float64(l.models-1)
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
