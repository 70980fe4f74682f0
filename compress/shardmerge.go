package compress

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/onnx-compress/onnx-compress/internal/calib"
)

// MergeParts makes of the files of all parts, in any order, the statistics that one run collects, and writes them to a file that
// Options.Stats may name. They do not depend on how many parts there are. Of the sums it holds those of one site at a time.
//
// A *UsageError names parts that are missing, there twice, or not of the same calibration or the same samples.
func MergeParts(ctx context.Context, env *Environment, paths []string, path string) (done Sharded, err error) {
	parts, err := openParts(paths, calibrations())
	defer func() { err = errors.Join(err, closeParts(parts)) }()
	if err != nil {
		return done, err
	}
	read, err := readBy(parts)
	if err != nil {
		return done, err
	}
	head := statsHeadOf(merged, parts[0].head.Key.on(read))
	if done.Found, err = foundSealed(ctx, path, calibrationMagic, head); err != nil || done.Found {
		return done, err
	}
	to, err := writeSealed(path, head)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	err = env.stage(ctx, "merge", func(st *stage) error {
		for i, p := range parts {
			if err := checkSealed(ctx, p.from, p.size); err != nil {
				return fmt.Errorf("%s: %w; remove it, and %s part %s anew", p.path, err, calibrations().make, p.head.Part)
			}
			st.told("reading parts", i+1, len(parts))
		}
		for g := range parts[0].head.Groups {
			st.told("groups of nodes", g, parts[0].head.Groups)
			if err := mergeGroup(ctx, env, parts, to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	return done, to.commit(ctx)
}

// mergeGroup merges the sums of the next group of sites.
func mergeGroup(ctx context.Context, env *Environment, parts []*partFile, to io.Writer) error {
	var list []*calib.Sums
	for _, p := range parts {
		s, err := calib.ReadSums(p.from, p.at, p.size)
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		p.at = s.End
		list = append(list, s)
	}
	err := calib.Merge(ctx, list, env.Algebra, func(s calib.Stats) error {
		_, err := s.WriteTo(to)
		return err
	})
	if failed := (*calib.PartError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", parts[failed.Part].path, failed.Err)
	}
	return err
}
