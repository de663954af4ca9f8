rem Run in the Windows VM of provision.seq once it is installed.
echo provisioned> C:\provisioned.txt
