package storage

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
)

// sessionTypes knows how to make an empty session of each type that may come back from the database. A
// session is stored as JSON with its type's name, because the session that fosite passes in to be filled may be
// nil (revocation) or of another type.
type sessionTypes struct {
	untagged reflect.Type // stored without a name, which is shorter
	byName   map[string]reflect.Type
}

func defaultSessionTypes() sessionTypes {
	return sessionTypes{}.with([]fosite.Session{
		&fosite.DefaultSession{}, &openid.DefaultSession{}, &oauth2.JWTSession{},
	})
}

// with adds prototypes; the first of the last call is the untagged one.
func (t sessionTypes) with(prototypes []fosite.Session) sessionTypes {
	added := sessionTypes{byName: make(map[string]reflect.Type)}
	for name, known := range t.byName {
		added.byName[name] = known
	}
	for _, prototype := range prototypes {
		typ := reflect.TypeOf(prototype)
		if typ.Kind() != reflect.Pointer {
			panic(fmt.Sprintf("storage: session type %s must be a pointer", typ))
		}
		if known, taken := added.byName[typ.String()]; taken && known != typ {
			panic(fmt.Sprintf("storage: two session types are called %s", typ))
		}
		added.byName[typ.String()] = typ
	}
	if len(prototypes) > 0 {
		added.untagged = reflect.TypeOf(prototypes[0])
	}
	return added
}

// pack turns a session into its type's name and its JSON; both are NULL for no session.
func (t sessionTypes) pack(session fosite.Session) (name, data sql.NullString, err error) {
	if session == nil {
		return name, data, nil
	}
	typ := reflect.TypeOf(session)
	if typ.Kind() != reflect.Pointer {
		return name, data, fmt.Errorf("storage: session type %s must be a pointer: nothing could be read back into it", typ)
	}
	if reflect.ValueOf(session).IsNil() {
		return name, data, nil
	}
	encoded, err := json.Marshal(session)
	if err != nil {
		return name, data, fmt.Errorf("storage: encode a %s: %w", typ, err)
	}
	if typ != t.untagged {
		if _, known := t.byName[typ.String()]; !known {
			return name, data, fmt.Errorf("storage: session type %s is not known; name it with storage.WithSessions", typ)
		}
		name = nullString(typ.String())
	}
	return name, nullString(string(encoded)), nil
}

// unpack fills into, when it is an empty session of the stored type, or a new session of that type. One that holds
// something is not touched: fosite reads an authorization code a second time into the session that it has prepared
// for the tokens, and what was stored with the code would win over the lifespans set since.
func (t sessionTypes) unpack(name, data sql.NullString, into fosite.Session) (fosite.Session, error) {
	if !data.Valid {
		return into, nil
	}
	typ := t.untagged
	if name.Valid {
		var known bool
		if typ, known = t.byName[name.String]; !known {
			return nil, fmt.Errorf("storage: a stored session has type %s, which is not known; name it with storage.WithSessions", name.String)
		}
	}
	session := into
	if into == nil || reflect.TypeOf(into) != typ || reflect.ValueOf(into).IsNil() || !reflect.ValueOf(into).Elem().IsZero() {
		session = reflect.New(typ.Elem()).Interface().(fosite.Session)
	}
	if err := json.Unmarshal([]byte(data.String), session); err != nil {
		return nil, fmt.Errorf("storage: decode a %s: %v", typ, err) // %v: a corrupt row is an outage, not a malformed token
	}
	return session, nil
}

// expiry is when a token of the given kind ends: what its session says, else issuedAt plus nothing, which is
// never (fosite then applies its configured lifespan to the time of the request).
func expiry(session fosite.Session, kind fosite.TokenType) time.Time {
	if session == nil || reflect.ValueOf(session).IsNil() {
		return time.Time{}
	}
	return session.GetExpiresAt(kind)
}
