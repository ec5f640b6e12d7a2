/*
 * The first program of a machine. It starts the agent and becomes systemd, so that
 * both start at once, on two processors if there are. The agent keeps out of systemd's
 * way until that is up: it is then that it raises its priority.
 *
 * Between the two there is one more process, the agent's parent: a machine without its
 * agent is of no use to anybody, and ends. The supervisor, which has heard no goodbye,
 * knows that something went wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char agent[] = "/usr/lib/rkt/agent";
static const char systemd[] = "/usr/lib/systemd/systemd";

/* What systemd does for its services, as far as the agent passes it on. */
static const struct rlimit open_files = {1024, 524288};

static int fail(const char *what)
{
	int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (console >= 0)
		dprintf(console, "init: %s: %m\n", what);
	return 1;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -1 : 0;
}

/*
 * Mounts where the apps' roots will be. systemd makes a unit of every mount it sees but
 * those below /run/host, which it takes for somebody else's.
 */
static int mount_roots(void)
{
	static const char roots[] = "/run/host";
	return make_dir(roots) ||
	       mount("roots", roots, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m") ? -1 : 0;
}

/* Whatever the apps do to the machine's memory, this is not what the kernel kills. */
static int spare_from_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int written = dprintf(fd, "-1000\n");
	return close(fd) || written < 0 ? -1 : 0;
}

/*
 * Makes the machine's id, which is the same for all machines until the agent knows the
 * pod's. A mount over the file would be a unit of systemd's, which costs more than an
 * app's start.
 */
static int make_machine_id(void)
{
	char id[64];
	int from = open("/usr/lib/rkt/machine-id", O_RDONLY | O_CLOEXEC);
	int to = open("/run/rkt/machine-id", O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
	if (from < 0 || to < 0)
		return -1;
	ssize_t n = read(from, id, sizeof id);
	ssize_t written = n < 0 ? -1 : write(to, id, n);
	return close(from) || close(to) || written < 0 || written != n ? -1 : 0;
}

/* Mounts what systemd would mount, and leaves alone what is there. */
static int mount_kernel(void)
{
	static const struct {
		const char *type, *at, *options;
		unsigned long flags;
	} mounts[] = {
		{"proc", "/proc", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NOEXEC | MS_NODEV},
		{"devtmpfs", "/dev", "mode=755,size=4m,nr_inodes=1m", MS_NOSUID | MS_STRICTATIME},
		{"tmpfs", "/run", "mode=755,size=20%,nr_inodes=800k", MS_NOSUID | MS_NODEV | MS_STRICTATIME},
	};
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].options) && errno != EBUSY)
			return -1;
	return 0;
}

/* Makes this process what systemd makes of a service, with the lowest priority. */
static int become_service(void)
{
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || spare_from_oom() || setsid() < 0 || setrlimit(RLIMIT_NOFILE, &open_files) ||
	    setpriority(PRIO_PROCESS, 0, 19))
		return -1;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	return close_range(3, ~0U, 0);
}

/* Runs the agent, and ends the machine with it. */
static void keep_agent(void)
{
	char *argv[] = {(char *)agent, "beside-systemd", NULL}, *environment[] = {NULL};
	if (become_service())
		fail("prepare the agent");
	pid_t child = vfork();
	if (child == 0) {
		execve(agent, argv, environment);
		_exit(fail(agent));
	}
	if (child < 0)
		fail("fork");
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	reboot(RB_AUTOBOOT);
}

int main(void)
{
	char *argv[] = {(char *)systemd, "--unit=machine.target", NULL};
	if (mount_kernel())
		return fail("mount the kernel's file systems");
	/* The agent watches the first one for systemd's socket. */
	if (make_dir("/run/systemd") || make_dir("/run/rkt") || make_machine_id() || mount_roots())
		return fail("prepare /run");
	switch (fork()) {
	case -1:
		return fail("fork");
	case 0:
		keep_agent();
		_exit(1);
	}
	execv(systemd, argv);
	return fail(systemd);
}
