// Requests that cannot be understood, and those that are refused before they are.
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHttpFixture, type HttpFixture } from './http-fixture.ts';

let http: HttpFixture;
beforeEach(async () => {
  http = await createHttpFixture();
});
afterEach(() => http.close());

const json = { 'content-type': 'application/json' };

describe('routes', () => {
  it.each([
    '/',
    '/nope',
    '/antares',
    '/antares/',
    '/antares/mounts/',
    '/antares/mounts/by-job/',
    '/antares/mounts//ready',
    '/health/',
    '/antares/mounts/x/y/z',
  ])('there is none at %s', async (url) => {
    const answer = await http.ask('GET', url);
    expect([answer.status, answer.text]).toEqual([404, '']);
  });

  it.each([
    ['PUT', '/health', 'GET,HEAD'],
    ['POST', '/antares/health?x=1', 'GET,HEAD'],
    ['PATCH', '/antares/mounts', 'POST,GET,HEAD'],
    ['POST', '/antares/mounts/00000000-0000-4000-8000-000000000000', 'GET,HEAD,DELETE'],
    ['GET', '/antares/mounts/x/cl', 'POST,DELETE'],
    ['PUT', '/antares/mounts/by-job/a%2Fb', 'GET,HEAD,DELETE'],
  ])('%s %s is 405 and names what is allowed', async (method, url, allow) => {
    const answer = await http.ask(method, url);
    expect(answer.status).toBe(405);
    expect(String(answer.headers['allow']).split(',').sort()).toEqual(allow.split(',').sort());
  });

  it('HEAD works where GET does', async () => {
    expect(await http.ask('HEAD', '/health')).toMatchObject({ status: 200, text: '' });
  });

  it.each(['x', '00000000-0000-4000-8000-00000000000', 'g0000000-0000-4000-8000-000000000000'])(
    'the id %s is no UUID',
    async (id) => {
      for (const [method, rest] of [
        ['GET', ''],
        ['GET', '/ready'],
        ['DELETE', ''],
      ] as const) {
        const answer = await http.ask(method, `/antares/mounts/${id}${rest}`);
        expect([answer.status, answer.text]).toEqual([
          400,
          expect.stringMatching(/^Invalid URL: .*UUID parsing failed/),
        ]);
        expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
      }
    },
  );
});

describe('bodies', () => {
  it.each([
    [{}],
    [{ 'content-type': 'text/plain' }],
    [{ 'content-type': 'application/jsonx' }],
    [{ 'content-type': ';;' }],
  ])('need a JSON content type, not %j', async (headers) => {
    const answer = await http.ask('POST', '/antares/mounts', '{"path":"/a"}', headers);
    expect([answer.status, answer.text]).toEqual([
      415,
      'Expected request with `Content-Type: application/json`',
    ]);
  });

  it.each(['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.x+json'])(
    'are accepted as %s',
    async (type) => {
      const answer = await http.ask('POST', '/antares/mounts', '{"path":"/a"}', { 'content-type': type });
      expect(answer.status).toBe(200);
    },
  );

  it.each(['', '{', '{"path":}', 'nonsense'])('that are no JSON (%j) are 400 in plain text', async (text) => {
    const answer = await http.ask('POST', '/antares/mounts', text, json);
    expect([answer.status, answer.text]).toEqual([
      400,
      expect.stringMatching(/^Failed to parse the request body as JSON: /),
    ]);
  });

  it.each([
    ['{}', 'missing field `path`'],
    ['{"path":null}', 'path: invalid value: null, expected a string'],
    ['{"path":5}', 'path: invalid value: 5, expected a string'],
    ['{"path":"/a","job_id":5}', 'job_id: invalid value: 5'],
    ['{"path":"/a","build_id":["x"]}', 'build_id: invalid value'],
    ['{"path":"/a","cl":false}', 'cl: invalid value: false'],
    ['{"path":"/a","mountpoint":1}', 'mountpoint: invalid value: 1'],
    ['{"path":"/a","uid":-1}', 'uid: invalid value: -1, expected an integer'],
    ['{"path":"/a","uid":4294967295}', 'uid: invalid value'],
    ['{"path":"/a","gid":1.5}', 'gid: invalid value: 1.5'],
    ['{"path":"/a","gid":"0"}', 'gid: invalid value: "0"'],
    ['[]', 'expected an object'],
    ['"x"', 'expected an object'],
    ['null', 'expected an object'],
  ])('with wrong fields (%s) are 422 in plain text', async (text, message) => {
    const answer = await http.ask('POST', '/antares/mounts', text, json);
    expect(answer.status).toBe(422);
    expect(answer.text).toContain('Failed to deserialize the JSON body into the target type: ');
    expect(answer.text).toContain(message);
    expect(http.host.specs).toEqual([]);
  });

  it('may be two MiB long, and not longer', async () => {
    const ofLength = (length: number): string => `{"path":"/a"}${' '.repeat(length - 13)}`;
    expect((await http.ask('POST', '/antares/mounts', ofLength(2 * 1024 * 1024), json)).status).toBe(200);
    const answer = await http.ask('POST', '/antares/mounts', ofLength(2 * 1024 * 1024 + 1), json);
    expect([answer.status, answer.text]).toEqual([413, expect.stringContaining('length limit exceeded')]);
  });

  it('of requests that need none are ignored', async () => {
    const answer = await http.ask('DELETE', '/antares/mounts/by-job/x', '', json);
    expect(answer.status).toBe(404);
    expect((await http.ask('DELETE', '/antares/mounts/by-job/x', '{"a":1}', json)).status).toBe(404);
  });
});

describe('web pages', () => {
  it.each([
    'http://evil.example',
    'https://127.0.0.1',
    'http://localhost:1',
    'null',
    'chrome-extension://abc',
    '',
  ])('of the origin %j are refused', async (origin) => {
    const headers = { ...json, host: 'localhost:2725', origin };
    const answer = await http.ask('POST', '/antares/mounts', '{"path":"/a"}', headers);
    expect([answer.status, answer.json]).toEqual([
      403,
      { error: 'requests of web pages are refused', code: 'FORBIDDEN' },
    ]);
    expect(http.host.specs).toEqual([]);
  });

  it('of our own origin are let in', async () => {
    const headers = { host: '127.0.0.1:2725', origin: 'http://127.0.0.1:2725' };
    expect((await http.ask('GET', '/health', undefined, headers)).status).toBe(200);
  });

  it.each([
    'evil.example',
    'evil.example:2725',
    'localhost.evil.example',
    '127.0.0.1.nip.example',
    'a b',
    '@',
  ])('cannot come in under the host name %j', async (host) => {
    const answer = await http.ask('GET', '/health', undefined, { host });
    expect([answer.status, answer.json]).toMatchObject([403, { code: 'FORBIDDEN' }]);
  });

  it.each([
    '127.0.0.1',
    '10.1.2.3:2725',
    '[::1]:2725',
    'localhost:9',
    'LOCALHOST',
    'x.localhost',
    'scorpio',
    hostname(),
  ])('have nothing to do with the host name %s', async (host) => {
    expect((await http.ask('GET', '/health', undefined, { host })).status).toBe(200);
  });
});

it('answers 500 with a code, and logs, when something unforeseen happens', async () => {
  http.registry.list = () => {
    throw new TypeError('oops');
  };
  const answer = await http.ask('GET', '/antares/mounts');
  expect([answer.status, answer.json]).toEqual([500, { error: 'oops', code: 'INTERNAL_ERROR' }]);
  expect(http.files.log.lines).toContain('error: a request failed');
});
