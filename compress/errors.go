package compress

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/tune"
)

// Option is a field of the options as texts of this package name it: errors, and what results say of nodes left alone or of work
// not done. A caller that calls the fields otherwise, such as a command by its flags, puts its own words there with Reword.
type Option string

// The options that texts name.
const (
	OptionOutput        Option = "RunOptions.Output"
	OptionSource        Option = "Options.Source"
	OptionCalibSamples  Option = "Options.CalibSamples"
	OptionVerifySamples Option = "Options.VerifySamples"
	OptionInputShapes   Option = "Options.InputShapes"
	OptionRankMultiple  Option = "Options.RankMultiple"
	OptionMethods       Option = "Options.Methods"
	OptionCosts         Option = "Options.Costs"
	OptionOnly          Option = "Options.Select.Only"
	OptionKeep          Option = "Options.Select.Keep"
	OptionLabels        Option = "SourceOptions.Labels"
	OptionClasses       Option = "Options.Classes"
	OptionKinds         Option = "Options.Kinds"
	OptionDamage        Option = "Options.AcceptDamage"
	OptionMemory        Option = "Options.Memory"
	OptionStats         Option = "Options.Stats"
	OptionCheckpoint    Option = "Options.Checkpoint"
)

// OptionNames lists every option that texts name.
func OptionNames() []Option {
	return []Option{
		OptionOutput, OptionSource, OptionCalibSamples, OptionVerifySamples, OptionInputShapes, OptionRankMultiple, OptionMethods, OptionCosts, OptionOnly, OptionKeep, OptionLabels, OptionClasses,
		OptionKinds, OptionDamage, OptionMemory, OptionStats, OptionCheckpoint,
	}
}

// Reword puts the caller's words in the place of the options that a text names.
func Reword(text string, word func(Option) string) string {
	for _, o := range OptionNames() {
		text = strings.ReplaceAll(text, string(o), word(o))
	}
	return text
}

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
	// Others are the targets that must hold beside it, and Sites how many nodes
	// may change.
	Others []Target
	Sites  int
	// Cramped are the nodes that memory keeps from changing, and Memory the least limit, in bytes, under which all of them might.
	Cramped int
	Memory  int64
	// Why is the reason where the numbers are none: nothing can be counted, or nothing of what counts may change.
	Why string
}

// count writes a whole number of a resource.
func (r Resource) count(n float64) string {
	if r == RunTime {
		return fmt.Sprintf("%.3f ms", n/1e6)
	}
	return fmt.Sprintf("%.0f %s", n, r)
}

func (e *UnmetError) Error() string {
	var b strings.Builder
	if e.Why != "" {
		return fmt.Sprintf("target %s cannot be met: %s", e.Target, e.Why)
	}
	// Both are rounded so that the numbers on the screen can be trusted: the limit
	// down, what can be reached up.
	share := math.Ceil(e.Reachable/float64(max(e.Original, 1))*1e4) / 1e4
	fmt.Fprintf(&b, "target %s cannot be met", e.Target)
	for _, t := range e.Others {
		fmt.Fprintf(&b, " beside %s", t)
	}
	fmt.Fprintf(&b, ": at most %s wanted, the least that can be reached is %s (%s=%s)",
		e.Target.Resource.count(math.Floor(e.Limit)), strings.TrimSuffix(e.Target.Resource.count(math.Ceil(e.Reachable)), " "+string(e.Target.Resource)), e.Target.Resource, strconv.FormatFloat(share, 'f', -1, 64))
	switch {
	case e.Cramped > 0:
		fmt.Fprintf(&b, "; %d nodes are left alone for want of memory, all could change with %s=%dMiB", e.Cramped, OptionMemory, (e.Memory+1<<20-1)>>20)
	case e.Sites == 0:
		b.WriteString("; no node may change, `onnx-compress inspect` says why")
	default:
		fmt.Fprintf(&b, "; allow more, or let more nodes change (%s, %s, %s)", OptionOnly, OptionKeep, OptionRankMultiple)
	}
	return b.String()
}

// roomier says of a tuning that memory has no room for which limit would do.
func roomier(err error) error {
	large := (*tune.MemoryError)(nil)
	if !errors.As(err, &large) {
		return err
	}
	return fmt.Errorf("%w; allow it with %s=%dMiB, or tune factors alone", err, OptionMemory, (large.Least+1<<20-1)>>20)
}
