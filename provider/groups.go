package provider

import (
	"context"
	"time"

	"github.com/ory/fosite"
)

// groupsEnd is when the groups of a session count no more; zero: never.
func groupsEnd(session fosite.Session, maxAge time.Duration) time.Time {
	if aging, ok := session.(SessionWithGroupsEnd); ok {
		return aging.GroupsEnd(maxAge)
	}
	return time.Time{}
}

// groupsEnded tells that the groups of a session are too old.
func groupsEnded(session fosite.Session, maxAge time.Duration, now time.Time) bool {
	end := groupsEnd(session, maxAge)
	return !end.IsZero() && !now.Before(end)
}

// GroupsHook is the introspection hook that leaves out the groups of a person when they were looked up longer than maxAge
// ago (0: it leaves out none). Give the same to [Grants], whose tokens end with the groups in them: the hook is for those
// that were issued when groups counted longer.
func GroupsHook(maxAge time.Duration, now func() time.Time) IntrospectionHook {
	return func(_ context.Context, token fosite.AccessRequester) error {
		if session := SessionOf(token); groupsEnded(session, maxAge, clock(now)) {
			session.(SessionWithGroupsEnd).DropGroups()
		}
		return nil
	}
}
