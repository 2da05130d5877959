package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fosite-mcp/storage/audit"
)

// RememberConsent keeps that a person allowed a client these scopes at each of these resources, in addition to what
// they allowed before. The names are those that the person saw.
func (s *Store) RememberConsent(ctx context.Context, subject, username, clientID, clientName string, resources, scopes []string) error {
	if subject == "" || clientID == "" {
		return errors.New("storage: refusing to store a consent without a subject or a client")
	}
	changes, err := audit.After(map[string]any{"subject": subject, "scope": packList(scopes), "resource": packList(resources)})
	if err != nil {
		return err
	}
	return s.Atomically(ctx, func(ctx context.Context) error {
		now := millis(s.now())
		for _, resource := range orNone(resources) {
			for _, scope := range orNone(scopes) {
				_, err := s.db.Run(ctx, `INSERT INTO {consents} (subject, client_id, resource, scope, username, client_name, created_at, updated_at)
					VALUES (?, ?, ?, ?, ?, ?, ?, ?)
					ON CONFLICT (subject, client_id, resource, scope) DO UPDATE
					SET username = excluded.username, client_name = excluded.client_name, updated_at = excluded.updated_at`,
					subject, clientID, resource, scope, username, clientName, now, now)
				if err != nil {
					return fmt.Errorf("storage: store a consent: %w", err)
				}
			}
		}
		return s.log.Append(ctx, audit.Event{Actor: "user:" + username, Action: "consent.granted", ClientID: clientID, Changes: changes})
	})
}

// orNone stands for an empty list with one empty entry, so that "no scope at no resource" can be remembered too.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

// FindConsent returns the scopes that a person allowed a client, by resource. No consent is an empty map.
func (s *Store) FindConsent(ctx context.Context, subject, clientID string) (map[string][]string, error) {
	rows, err := s.db.Read(ctx).Query(`SELECT resource, scope FROM {consents} WHERE subject = ? AND client_id = ? ORDER BY resource, scope`, subject, clientID)
	if err != nil {
		return nil, fmt.Errorf("storage: read a consent: %w", err)
	}
	defer rows.Close()
	allowed := make(map[string][]string)
	for rows.Next() {
		var resource, scope string
		if err := rows.Scan(&resource, &scope); err != nil {
			return nil, fmt.Errorf("storage: read a consent: %w", err)
		}
		allowed[resource] = append(allowed[resource], scope)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read a consent: %w", err)
	}
	return allowed, nil
}

// WithdrawConsents forgets what people allowed and revokes every grant that came of it, in one step. It tells how many
// pairs of person and client are affected; none is no error.
func (s *Store) WithdrawConsents(ctx context.Context, filter ConsentFilter) (int, error) {
	if filter == (ConsentFilter{}) {
		return 0, errors.New("storage: refusing to withdraw every consent there is; name a person or a client")
	}
	withdrawn := 0
	err := s.Atomically(ctx, func(ctx context.Context) error {
		consents, err := s.ListConsents(ctx, filter)
		if err != nil {
			return err
		}
		withdrawn = len(consents)
		for _, consent := range consents {
			if err := s.withdraw(ctx, consent); err != nil {
				return err
			}
		}
		return nil
	})
	return withdrawn, err
}

func (s *Store) withdraw(ctx context.Context, consent Consent) error {
	if _, err := s.db.Run(ctx, `DELETE FROM {consents} WHERE subject = ? AND client_id = ?`, consent.Subject, consent.ClientID); err != nil {
		return fmt.Errorf("storage: delete a consent: %w", err)
	}
	if _, err := s.RevokeSubject(ctx, consent.Subject, consent.ClientID); err != nil {
		return err
	}
	changes, err := audit.After(map[string]any{"subject": consent.Subject})
	if err != nil {
		return err
	}
	event := audit.Event{Action: "consent.withdrawn", ClientID: consent.ClientID, Changes: changes}
	if audit.OriginFrom(ctx).Actor == "" {
		event.Actor = "user:" + consent.Username
	}
	return s.log.Append(ctx, event)
}

// WithdrawConsent is [Store.WithdrawConsents] for one person and one client.
func (s *Store) WithdrawConsent(ctx context.Context, subject, clientID string) error {
	if subject == "" || clientID == "" {
		return errors.New("storage: refusing to withdraw a consent without a subject or a client")
	}
	_, err := s.WithdrawConsents(ctx, ConsentFilter{Subject: subject, ClientID: clientID})
	return err
}

// EachConsent calls show for every client that has access in the name of a person, in the order of client ids.
// lastUsed is zero when it is not known.
func (s *Store) EachConsent(ctx context.Context, subject string, show func(clientID, clientName string, scopes, resources []string, since, lastUsed time.Time)) error {
	if subject == "" {
		return errors.New("storage: refusing to list the consents of an empty subject")
	}
	consents, err := s.ListConsents(ctx, ConsentFilter{Subject: subject})
	if err != nil {
		return err
	}
	for _, c := range consents {
		show(c.ClientID, c.ClientName, c.Scopes, c.Resources, c.CreatedAt, c.LastUsedAt)
	}
	return nil
}
