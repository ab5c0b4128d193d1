REVOKE UPDATE (processed_at) ON events.processed_events FROM throughline_notification;
REVOKE DELETE ON events.processed_events FROM throughline_notification, throughline_analytics;
DROP INDEX events.processed_events_processed_at_idx;
DROP TABLE events.mail_outbox;
