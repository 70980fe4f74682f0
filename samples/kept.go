package samples

import "sync"

// Kept is a source whose samples are read once and then kept, the first ones until so many bytes are full: a run goes over its
// samples several times, and to decode an image costs about as much as a small model. Nil stays nil.
func Kept(src Source, limit int64) Source {
	if src == nil {
		return nil
	}
	return &kept{through: through{src}, left: limit, samples: map[int]Sample{}}
}

type kept struct {
	through

	mu      sync.Mutex
	left    int64
	samples map[int]Sample
}

func (k *kept) Sample(i int) (Sample, error) {
	k.mu.Lock()
	s, ok := k.samples[i]
	k.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := k.Source.Sample(i)
	if err != nil {
		return s, err
	}
	var size int64
	for _, t := range s.Inputs {
		size += int64(len(t.Data))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.samples[i]; !ok && size <= k.left {
		k.samples[i], k.left = s, k.left-size
	}
	return s, nil
}
