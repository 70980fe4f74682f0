package samples

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Among thousands of photos a few are cut off or no photos at all. One that cannot be read is stood in for by the next that can, so
// that every number still has a sample and equal numbers give equal samples. More than one in a hundred is an error.

// faults are the files of a folder that turned out to be unreadable. Several goroutines may use it.
type faults struct {
	mu    sync.Mutex
	found map[string]error
}

// add notes a file of n that cannot be read; the error is that of too many.
func (f *faults) add(name string, why error, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found == nil {
		f.found = map[string]error{}
	}
	f.found[name] = why
	switch bad := len(f.found); {
	case bad*100 <= n:
		return nil
	case bad == 1:
		return why
	default:
		return fmt.Errorf("%d of %d images cannot be read, more than 1 %%: %s; the last: %w", bad, n, f.names(), why)
	}
}

// names lists the first few of the files.
func (f *faults) names() string {
	const most = 5
	names := slices.Sorted(maps.Keys(f.found))
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func (f *faults) text(n int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.found) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of the %d cannot be read, and the next ones stood in: %s)", len(f.found), n, f.names())
}

// Account describes a source after it was read from: what Describe says, and which of the samples could not be read and were
// stood in for.
func Account(src Source) string {
	text := src.Describe()
	if s, ok := src.(interface{ accounted() string }); ok {
		text += s.accounted()
	}
	return text
}

// probed is of how many files the start is looked at before the work, where there are more.
const probed = 512

// probe looks at the first bytes of some files, spread evenly, so that a folder most of whose files are no images is refused
// at once, however few of them will be read.
func (s *images) probe() error {
	n := len(s.files)
	if n <= probed {
		return nil // enough of these are read to tell
	}
	var bad []string
	for k := range probed {
		if name := s.files[k*n/probed]; headerOf(s.path(name)) != nil {
			bad = append(bad, name)
		}
	}
	if len(bad)*100 <= 3*probed { // one in a hundred by far more than chance
		return nil
	}
	return fmt.Errorf("%s: %d of %d images that were looked at cannot be decoded, such as: %w", s.root, len(bad), probed, headerOf(s.path(bad[0])))
}
