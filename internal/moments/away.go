package moments

// away is where the numbers of a sum are that have left memory: the moments as rows lists them, and totals.
type away struct {
	kept          []float64 // all of them, one list behind the other
	moments       [][]float64
	totals, apart []float64
}

// rows lists where the moments lie: the rows of the upper triangle of each group, or all of it where the lower one has the second half.
func (s *Sum) rows() (out [][]float64) {
	for _, m := range s.moments {
		if s.apart != nil {
			out = append(out, m.Data)
			continue
		}
		for i := range m.Rows {
			out = append(out, m.Row(i)[i:])
		}
	}
	return out
}

// Leave has keep put the numbers of a sum elsewhere, one list behind the other, and returns what memory they took. Nothing is added until
// Return.
func (s *Sum) Leave(keep func(rows [][]float64) ([]float64, error)) (free [][]float64, err error) {
	if s.away != nil {
		return nil, nil
	}
	rows := s.rows()
	lists := append(rows, s.totals)
	if s.apart != nil {
		lists = append(lists, s.apart.totals)
	}
	kept, err := keep(lists)
	if err != nil {
		return nil, err
	}
	s.away = &away{kept: kept}
	for i, r := range lists {
		part := kept[:len(r):len(r)]
		kept = kept[len(r):]
		switch {
		case i < len(rows):
			s.away.moments = append(s.away.moments, part)
		case len(part) == 0:
		case i == len(rows):
			s.away.totals = part
		default:
			s.away.apart = part
		}
	}
	return s.Drop(), nil
}

// Drop has a sum forget what it has in memory, and returns what memory the moments took.
func (s *Sum) Drop() (free [][]float64) {
	for _, m := range s.moments {
		free = append(free, m.Data)
	}
	s.moments, s.totals = nil, nil
	if s.apart != nil {
		s.apart.totals = nil
	}
	return free
}

// Return has the numbers in memory again, as fill reads them into lists.
func (s *Sum) Return(fill func(lists [][]float64, kept []float64) error) error {
	from := s.away
	if from == nil {
		return nil
	}
	if s.away = nil; len(from.moments) > 0 {
		s.have(s.memory.Room) // all of which is filled, or below a diagonal and never read
	}
	lists := s.rows()
	if from.totals != nil {
		s.totals = make([]float64, len(from.totals))
		lists = append(lists, s.totals)
	}
	if from.apart != nil {
		s.apart.totals = make([]float64, len(from.apart))
		lists = append(lists, s.apart.totals)
	}
	return fill(lists, from.kept)
}

// In is Sum.In.
func (h *Halves) In(m Memory) *Halves {
	h.sum.In(m)
	return h
}

// Leave is Sum.Leave for all but first moments and what lies beside the second half.
func (h *Halves) Leave(keep func(rows [][]float64) ([]float64, error)) (free [][]float64, err error) {
	return h.sum.Leave(keep)
}

// Drop is Sum.Drop.
func (h *Halves) Drop() [][]float64 { return h.sum.Drop() }

// Return is Sum.Return.
func (h *Halves) Return(fill func(lists [][]float64, kept []float64) error) error {
	return h.sum.Return(fill)
}
