package storage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"

	"fosite-mcp/storage/internal/model"
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
		if hidden := hiddenEmbedded(typ.Elem()); hidden != "" && !typ.Implements(reflect.TypeFor[json.Unmarshaler]()) {
			panic(fmt.Sprintf("storage: session type %s could not be read back: it embeds a pointer to the unexported %s; embed the struct itself, or export it", typ, hidden))
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

// hiddenEmbedded is an embedded pointer that JSON can write and cannot read, or empty.
func hiddenEmbedded(typ reflect.Type) string {
	if typ.Kind() != reflect.Struct {
		return ""
	}
	for i := range typ.NumField() {
		field := typ.Field(i)
		switch {
		case !field.Anonymous || field.Tag.Get("json") == "-":
		case field.Type.Kind() != reflect.Pointer:
			if hidden := hiddenEmbedded(field.Type); hidden != "" {
				return hidden
			}
		case !field.IsExported():
			return field.Type.Elem().String()
		}
	}
	return ""
}

// pack turns a session into its type's name and its JSON; both are NULL for no session.
func (t sessionTypes) pack(session fosite.Session) (name, data model.Text, err error) {
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
		name = model.Text(typ.String())
	}
	return name, model.Text(encoded), nil
}

// unpack fills into, when it is an empty session of the stored type, or a new session of that type. One that holds
// something is not touched: fosite reads an authorization code a second time into the session that it has prepared
// for the tokens, and what was stored with the code would win over the lifespans set since.
func (t sessionTypes) unpack(name, data model.Text, into fosite.Session) (fosite.Session, error) {
	if data == "" {
		return into, nil
	}
	typ := t.untagged
	if name != "" {
		var known bool
		if typ, known = t.byName[string(name)]; !known {
			return nil, fmt.Errorf("storage: a stored session has type %s, which is not known; name it with storage.WithSessions", name)
		}
	}
	session := into
	if into == nil || reflect.TypeOf(into) != typ || reflect.ValueOf(into).IsNil() || !isEmpty(reflect.ValueOf(into).Elem(), 4) {
		session = reflect.New(typ.Elem()).Interface().(fosite.Session)
	}
	if err := json.Unmarshal([]byte(data), session); err != nil {
		return nil, fmt.Errorf("storage: decode a %s: %v", typ, err) // %v: a corrupt row is an outage, not a malformed token
	}
	return session, nil
}

// isEmpty tells whether v holds nothing, in what it points to included, as far down as depth.
func isEmpty(v reflect.Value, depth int) bool {
	if v.IsZero() || depth == 0 {
		return v.IsZero()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return isEmpty(v.Elem(), depth-1)
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !isEmpty(v.Field(i), depth-1) {
				return false
			}
		}
		return true
	}
	return false
}

// expiry is when a token of the given kind ends by its session, or zero, where fosite applies its configured lifespan to the
// time of the request.
func expiry(session fosite.Session, kind fosite.TokenType) (at time.Time) {
	if session == nil || reflect.ValueOf(session).IsNil() {
		return time.Time{}
	}
	defer forgiveNil(session)
	return session.GetExpiresAt(kind)
}

// subject is whose session it is, or empty.
func subject(session fosite.Session) string {
	if session == nil || reflect.ValueOf(session).IsNil() {
		return ""
	}
	defer forgiveNil(session)
	return session.GetSubject()
}

// setExpiry fills in what a session has not stored. A token that was imported may end before its session says so.
func setExpiry(session fosite.Session, kind fosite.TokenType, at model.Time) {
	if session == nil || at.IsZero() {
		return
	}
	if end := expiry(session, kind); !end.IsZero() && !at.Before(end.Truncate(time.Millisecond)) {
		return
	}
	defer forgiveNil(session)
	session.SetExpiresAt(kind, at.Time)
}

// forgiveNil ends the panic of a method that comes from an embedded pointer which is nil: such a session holds nothing there.
func forgiveNil(session fosite.Session) {
	if panicked := recover(); panicked != nil && !embedsNil(reflect.ValueOf(session)) {
		panic(panicked)
	}
}

func embedsNil(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return true
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous && embedsNil(v.Field(i)) {
			return true
		}
	}
	return false
}
