/* comet_client_ws: see comet_client_ws.h. The client itself is comet_client. SPDX-License-Identifier: MIT */
#include "client/comet_client_ws.h"

#include "client/client_library.h"
#include "client/client_url.h"

int comet_client_open_url(const struct comet_client_url *where, const struct comet_client_options *opt,
			  struct comet_client **out, struct comet_client_goodbye *goodbye)
{
	struct client_options to = {.ca_file = where->ca_file,
				    .insecure = where->insecure != 0,
				    .cert_file = where->cert_file,
				    .key_file = where->key_file};
	struct client_url url;
	int rc = client_url_parse(where->url, &url);

	*goodbye = (struct comet_client_goodbye){0};
	if (rc < 0)
		return rc;
	client_url_aim(&url, &to);
	return client_library_open(opt, &to, out, goodbye);
}
