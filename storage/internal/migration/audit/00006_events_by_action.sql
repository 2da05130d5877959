-- Events of one kind, by client: who had access is read from them. Those of tokens may be millions, and are left out.
CREATE INDEX {{index "audit_events" "by_action"}} ON {{table "audit_events"}} (action, client_id, id)
    WHERE action <> 'token.issued' AND action <> 'token.revoked';
