package samples

import "sync"

// Noted is a source of another's samples that notes the sum of each that it gives out.
type Noted struct {
	through

	mu   sync.Mutex
	sums map[int]Sum
}

// Note returns a source that has noted nothing yet.
func Note(src Source) *Noted { return &Noted{through: through{src}, sums: map[int]Sum{}} }

// Sample reads sample i.
func (n *Noted) Sample(i int) (Sample, error) {
	s, err := n.Source.Sample(i)
	if err != nil {
		return s, err
	}
	n.mu.Lock()
	_, known := n.sums[i]
	n.mu.Unlock()
	if known {
		return s, nil
	}
	sum := s.sum()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sums[i] = sum
	return s, nil
}

// Sum is that of sample i; ok is false where it was not given out.
func (n *Noted) Sum(i int) (sum Sum, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sum, ok = n.sums[i]
	return sum, ok
}
