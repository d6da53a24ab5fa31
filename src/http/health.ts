// GET /health: whether the daemon lives, and which one it is.
import type { FastifyInstance } from 'fastify';
import type { HttpServices } from './http-services.ts';

/** Adds the route. */
export function addHealthRoute(app: FastifyInstance, services: HttpServices): void {
  app.get('/health', () => ({
    status: 'ok',
    version: services.version,
    uptime_secs: Math.floor((Date.now() - services.startedAtMs) / 1000),
    mount_count: services.registry.size,
    store_path: services.storePath,
    server: services.server,
    pid: process.pid,
    memory: memoryOf(services),
    prefetch: prefetchOf(services),
    lfs: lfsOf(services),
  }));
}

/** Memory of the serving process, in bytes, and what is behind it. */
function memoryOf({ registry }: HttpServices): Record<string, number> | null {
  const memory = registry.memory();
  if (memory === undefined) return null;
  return {
    budget_bytes: memory.budget,
    resident_bytes: memory.resident,
    held_bytes: memory.held,
    inodes: memory.inodes,
    evicted_inodes: memory.evicted,
  };
}

/** Large files of all mounts: how many are under way, and how many could not be had lately. */
function lfsOf({ registry }: HttpServices): Record<string, number> {
  const reports = registry.list().flatMap(({ mountId }) => registry.report(mountId)?.lfs ?? []);
  return {
    transfers: new Set(reports.flatMap(({ transfers }) => transfers.map(({ oid }) => oid))).size,
    failures: new Set(reports.flatMap(({ failures }) => failures.map(({ oid }) => oid))).size,
  };
}

/** Prefetching in the background; null when it is off. */
function prefetchOf({ prefetchSchedule }: HttpServices): Record<string, unknown> | null {
  if (prefetchSchedule === undefined) return null;
  const { intervalMs, isRunning, lastRun } = prefetchSchedule.status();
  const last =
    lastRun === undefined
      ? null
      : {
          started_at_epoch_ms: lastRun.startedAtEpochMs,
          duration_ms: lastRun.durationMs,
          fetched: lastRun.fetched,
          bytes: lastRun.bytes,
          failed: lastRun.failed,
          error: lastRun.error ?? null,
        };
  return { interval_secs: intervalMs / 1000, running: isRunning, last_run: last };
}
