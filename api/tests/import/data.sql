-- What an installation has. Configs are encrypted under the passphrase "correct horse battery" (by OpenSSL's AES-GCM);
-- the password of ann is "password", its hash made by libcrypt.
INSERT INTO "olake-prod-user" (id, username, password, email, created_at, updated_at) VALUES
    (1, 'ann', '$2a$10$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK', 'ann@example.org', '2025-01-02 03:04:05+00', '2025-01-02 03:04:05+00'),
    (4, 'bob', 'no hash at all', 'bob@example.org', '2025-01-02 03:04:05+00', '2025-01-02 03:04:05+00');
INSERT INTO "olake-prod-source" (id, name, project_id, config, version, type, created_by_id, updated_by_id, created_at, updated_at, deleted_at) VALUES
    (3, 'shop database', '123', '"CngAlZFyLMhIJcqVHgt36zTpSZL45X4u7Sv/mTjwfwt3EX5mIrOx0qsi/X/CpBjDmumHh1kG1DAUTGW4rxsYiGzwGZJ5JcHAhOGz0hOlR8kR4y2XQeGLHPh0ZE1bFn6nG4Az3oLxefa1B7GEGmZtRZolmudNFOnKLDLzvB1BkWhqFayIaf+yyyKEJVXCQ1OW7s1q7xHYwg9k73lrRMCRsNo="', 'v0.9.4', 'postgres', 1, 1, '2025-02-01 00:00:00+00', '2025-02-02 00:00:00+00', NULL),
    (5, 'events', '123', '"Ym4eO2k1xmosirnI505uRO56Gydret++a2DQwuzEOGjAFV2oGZawX/RmXlh72Xjw0z33CimgdD/BgXtqSMxZzAbQLutKQAjRH1Py13YzjK7Kog5oPXMohwG692ottwGFXYcu"', 'v0.2.0', 'mongodb', 4, 4, '2025-02-01 00:00:00+00', '2025-02-03 00:00:00+00', NULL),
    (6, 'removed', '123', '"AAAA"', 'v0.9.4', 'mysql', 1, 1, '2025-02-01 00:00:00+00', '2025-02-03 00:00:00+00', now());
INSERT INTO "olake-prod-destination" (id, name, project_id, config, version, dest_type, created_by_id, updated_by_id, created_at, updated_at) VALUES
    (2, 'lake', '123', '"D1+SRQCk1wO5pIAwFeKy6woPpMTr9CzNhFP+aGFDZElfjt9LXr0Jj6IlQA5vN7zvc6+t+RcrknuGFjAJTwrbN7MvS91s17Zoxcyj66JHhTUADprPRxG+mvNS4BiEa91/1WnAcpG6a8VcHX2nnQcvXJQwS7Icwo4cdLjjYjWQT9OBuda+OJyC8Y90gA=="', 'v0.9.4', 'parquet', 1, 1, '2025-02-01 00:00:00+00', '2025-02-02 00:00:00+00');
INSERT INTO "olake-prod-job" (id, name, source_id, dest_id, active, frequency, streams_config, state, created_by_id, updated_by_id, project_id, created_at, updated_at) VALUES
    (7, 'nightly', 3, 2, true, '0 2 * * *', '{"streams": [{"stream": {"name": "orders", "namespace": "public"}}], "selected_streams": {"public": [{"stream_name": "orders"}]}}',
     '{"type": "GLOBAL", "version": 3, "global": {"state": {"lsn": "0/1A2B3C4D"}}, "streams": [{"chunks": 12345678901234567890123, "ratio": 1.10}]}', 1, 1, '123', '2025-03-01 00:00:00+00', '2025-03-02 00:00:00+00'),
    (8, 'by hand', 3, 2, false, '15-minutes', '{"streams": [], "selected_streams": {}}', '{}', 1, 1, '123', '2025-03-01 00:00:00+00', '2025-03-03 00:00:00+00'),
    (9, 'events', 5, 2, true, 'whenever', '{"streams": [], "selected_streams": {}}', '{"a": 1}', 4, 4, '123', '2025-03-01 00:00:00+00', '2025-03-04 00:00:00+00');
