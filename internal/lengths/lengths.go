// Package lengths puts texts into a hash so that no two lists of texts look the same: each has its length in front.
package lengths

import (
	"encoding/binary"
	"io"
)

// Write writes parts into a hash.
func Write[T ~string | ~[]byte](h io.Writer, parts ...T) {
	for _, part := range parts {
		_, _ = h.Write(Append(nil, part)) // a hash never fails
	}
}

// Append appends part, with its length in eight bytes before it.
func Append[T ~string | ~[]byte](to []byte, part T) []byte {
	return append(binary.BigEndian.AppendUint64(to, uint64(len(part))), part...)
}
