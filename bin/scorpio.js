#!/usr/bin/env node
// Launcher: sizes libuv's thread pool before anything uses it, then hands over to the CLI.
process.env['UV_THREADPOOL_SIZE'] ??= '16';
const { main } = await import('../dist/bundle/scorpio.js');
await main(process.argv);
