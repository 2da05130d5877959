package params

import (
	"iter"
	"mime"
	"strconv"
	"strings"
)

// Accepted are the media types of a header Accept with their weights (RFC 9110 §12.5.1), in its order; 0: not that one. What
// cannot be read is left out.
func Accepted(header []string) iter.Seq2[string, float64] {
	return func(yield func(string, float64) bool) {
		for entry := range strings.SplitSeq(strings.Join(header, ","), ",") {
			kind, parameters, err := mime.ParseMediaType(entry)
			if err != nil {
				continue
			}
			weight := 1.0
			if q, given := parameters["q"]; given {
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			if !yield(kind, weight) {
				return
			}
		}
	}
}
