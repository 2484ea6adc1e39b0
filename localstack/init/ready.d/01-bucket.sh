#!/usr/bin/env bash
awslocal s3 mb s3://towpath
