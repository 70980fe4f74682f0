package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// keptParts is how many parts a run with checkpoints cuts its calibration and its factoring into. What a run that is killed has to do again is
// the part that it was at.
const keptParts = 8

// checkpoint is the folder of a run's checkpoints, in the files of a work in parts. The key says what belongs to this run.
type checkpoint struct {
	folder string
	env    *Environment
	a      *Analysis
	o      Options
	key    statsKey
}

// kept does calibration and factoring part by part, as far as the folder of checkpoints does not have them, and returns the options of a run
// that begins with what is there. Without samples, and with parts that were made elsewhere, nothing is kept.
func (a *Analysis) kept(ctx context.Context, env *Environment, o Options) (Options, error) {
	if o.Checkpoint == "" {
		return o, nil
	}
	if err := os.MkdirAll(o.Checkpoint, 0o777); err != nil {
		return o, fmt.Errorf("a folder for checkpoints: %w", err)
	}
	if o.Source == nil || len(a.Groups) == 0 {
		return o, nil
	}
	c := &checkpoint{folder: o.Checkpoint, env: env, a: a, o: o}
	err := c.run(ctx)
	if err != nil {
		return o, fmt.Errorf("checkpoints in %s: %w", o.Checkpoint, err)
	}
	return c.o, nil
}

// run makes what is missing of the parts, and the options of a run that begins with them. Parts that were made elsewhere are taken as they are.
func (c *checkpoint) run(ctx context.Context) (err error) {
	if c.key, err = newStatsKey(ctx, c.env, c.a, c.o); err != nil {
		return err
	}
	apart := len(c.o.Offers) > 0
	if !apart {
		c.o.Stats = filepath.Join(c.folder, "stats.ocs")
		if err = c.calibrate(ctx); err != nil {
			return err
		}
	}
	stats, err := readStatsFile(ctx, c.o.Stats, c.key)
	if err != nil || stats == nil {
		return err // of parts made elsewhere, whose statistics Factor will miss
	}
	defer func() { err = errors.Join(err, stats.close()) }()
	stats.key = c.key
	if !apart {
		if err := c.factor(ctx, stats); err != nil {
			return err
		}
		c.o.Offers = c.files("offers-%d.oco")
	}
	c.o.keeper = &keeper{folder: c.folder, source: c.o.Source, threads: c.env.Threads, key: c.key, samples: map[string]string{}}
	c.o.keeper.offers, err = offersKey(stats, c.o)
	return err
}

// files are those of all parts.
func (c *checkpoint) files(name string) []string {
	var out []string
	for k := range keptParts {
		out = append(out, filepath.Join(c.folder, fmt.Sprintf(name, k+1)))
	}
	return out
}

// part is the k-th part of samples or nodes, and an environment in which stages have its number.
func (c *checkpoint) part(k int, of string) (ShardPart, *Environment) {
	p := ShardPart{k + 1, keptParts}
	return p, c.env.inPass(fmt.Sprintf("%s, %s %s", c.env.pass, of, p))
}

// calibrate makes the statistics, of parts that go when these are whole.
func (c *checkpoint) calibrate(ctx context.Context) error {
	sums := c.files("stats-%d.ocs")
	there, err := foundSealed(ctx, c.o.Stats, calibrationMagic, statsHeadOf(merged, c.key))
	if err != nil {
		return err
	}
	if !there {
		lib, err := c.env.need("calibration")
		if err != nil {
			return err
		}
		key, _ := c.key.apart()
		for k, path := range sums {
			p, env := c.part(k, "samples")
			if _, err := c.o.sumPart(ctx, env, lib, c.a, key, p, path); err != nil {
				return err
			}
		}
		if _, err := MergeParts(ctx, c.env, sums, c.o.Stats); err != nil {
			return err
		}
	}
	for _, path := range sums {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// factor finds what the sites offer.
func (c *checkpoint) factor(ctx context.Context, stats *statsFile) error {
	for k, path := range c.files("offers-%d.oco") {
		p, env := c.part(k, "nodes")
		if err := stats.again(); err != nil {
			return err
		}
		if _, err := c.o.factorUnder(ctx, env, c.a, stats, p, path); err != nil {
			return err
		}
	}
	return nil
}

// keeping is how weights are tuned with the state kept in the folder of checkpoints, in a file for the model that the tuning begins with.
func (o Options) keeping(how tune.Options, start *onnxio.Model) (tune.Options, error) {
	if o.Checkpoint == "" {
		return how, nil
	}
	data, err := start.Marshal()
	if err != nil {
		return how, err
	}
	sum := sha256.Sum256(data)
	how.Checkpoint, how.Resume = filepath.Join(o.Checkpoint, "tune-"+hex.EncodeToString(sum[:8])+".state"), true
	return how, nil
}
