package compress

import (
	"context"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/internal/timing"
)

// The brief look at whether a result is slower, which nobody asked for, takes about a second in all, loading aside: a round of turns
// takes roundFor, and there is another one, roundsAgreed in all, where it says that the result is slower. Slow models have roundTurns
// in each. Models of which one run takes longer than tooLong are left out.
const (
	roundFor     = 500 * time.Millisecond
	roundTurns   = 3
	roundsAgreed = 2
	tooLong      = 5 * time.Second
)

// roundLimits bound one round for models that take so long at most. What is fast is warmed up, and finds its weights in the caches of
// the processor; where one run reads more than they hold, as a slow one does, that changes little.
func roundLimits(once time.Duration) timing.Limits {
	l := timing.Limits{Least: roundTurns, Most: 30, For: roundFor}
	if once < roundFor/20 {
		l.WarmUps, l.Settle = 1, 1
	}
	return l
}

// notice clocks the two models briefly where nobody asked for their times, and keeps what it finds where the result is slower beyond
// doubt. What cannot be timed is no matter then. Models that verification leaves in their files, to keep the limit on the memory, stay
// there: so they would be slow for another reason. Of those held against each other as int8 the times are known.
func (d *Delivered) notice(ctx context.Context, env *Environment, a *Analysis, o Options) error {
	if d.Latency != nil || d.Int8 != nil || d.Verification == nil || !rss.Loads(a.model.DiskBytes(), d.Output.Bytes, o.Memory) {
		return nil
	}
	return env.stage(ctx, "time", func(*stage) error {
		p, err := openPair(ctx, env, a, o, a.model.Path, d.staged.Path())
		if err == nil {
			defer p.close()
			d.Latency, _ = p.slower(ctx)
		}
		return ctx.Err()
	})
}

// slower is what the two models take where every round says that the second is slower beyond doubt; else nil.
func (p *pair) slower(ctx context.Context) (*Latency, error) {
	once, err := p.once(ctx)
	if err != nil || once > tooLong {
		return nil, err
	}
	return agreed(func() (*Latency, error) { return p.measure(ctx, roundLimits(once)) })
}

// once is how long the slower of the two models takes for its first run; where the original takes too long, the other does not run.
func (p *pair) once(ctx context.Context) (most time.Duration, err error) {
	for _, run := range p.runners() {
		begun := time.Now()
		if err := run(ctx); err != nil {
			return 0, err
		}
		if most = max(most, time.Since(begun)); most > tooLong {
			break
		}
	}
	return most, nil
}

// agreed measures in rounds, and returns the last where all of them say that the result is slower; else nil.
func agreed(measure func() (*Latency, error)) (l *Latency, err error) {
	for range roundsAgreed {
		if l, err = measure(); err != nil || !l.slower() {
			return nil, err
		}
	}
	return l, nil
}

// slower says that the compressed model is slower beyond doubt: by more than what the places of two files in memory make, in three
// quarters of the turns.
func (l *Latency) slower() bool { return l.High < 1-tolerated }
