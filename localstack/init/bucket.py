"""Creates the bucket on an S3 server that asks for no signature: python bucket.py http://127.0.0.1:4566 towpath"""

import sys
import urllib.error
import urllib.request

endpoint, bucket = sys.argv[1:]
try:
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"))
except urllib.error.HTTPError as error:
    if error.code != 409:
        raise
